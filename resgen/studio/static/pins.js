// A list of pinned images, each { query, caption, thumbnail }. `data-tray` marks the one that collects what is pinned anywhere
// in the page, and that the browser keeps for the next visit.
const KEPT = "resgen-pins";
const { tray: isTray, most } = element.querySelector(".rg-pins").dataset;
const list = element.querySelector(".rg-pins-list");

let current = [];

function set(next) {
  current = next.slice(-Number(most));
  props.value = current;
  draw();
  trigger("change");
}

function show() {
  current = Array.isArray(props.value) ? props.value : [];
  draw();
}

function draw() {
  element.querySelector(".rg-pins-hint").hidden = current.length > 0;
  list.replaceChildren(
    ...current.map((pin, index) => {
      const item = Object.assign(document.createElement("div"), { className: "rg-pin", title: pin.caption });
      item.setAttribute("role", "listitem");
      const image = Object.assign(document.createElement("img"), { src: pin.thumbnail, alt: pin.caption });
      const remove = Object.assign(document.createElement("button"), { type: "button", textContent: "×", title: `Remove ${pin.caption}` });
      remove.setAttribute("aria-label", `Remove ${pin.caption}`);
      remove.addEventListener("click", () => set(current.filter((_, other) => other !== index)));
      item.append(image, remove);
      return item;
    }),
  );
  if (isTray) keep();
}

function keep() {
  try {
    window.localStorage.setItem(KEPT, JSON.stringify(current));
  } catch {
    // Storage may be full or forbidden; the pins then last as long as the page.
  }
}

function kept() {
  try {
    const pins = JSON.parse(window.localStorage.getItem(KEPT) || "[]");
    const sound = (pin) => typeof pin.query === "string" && typeof pin.caption === "string" && String(pin.thumbnail).startsWith("data:image/png;");
    return Array.isArray(pins) ? pins.filter(sound) : [];
  } catch {
    return [];
  }
}

if (isTray) {
  window.addEventListener("resgen-pin", (event) => {
    if (!current.some((pin) => pin.query === event.detail.query)) set([...current, event.detail]);
  });
}

// The tray is the page's own: what comes from elsewhere, such as the empty list it begins with, does not replace it.
function insist() {
  if (JSON.stringify(props.value || []) !== JSON.stringify(current)) props.value = current;
  draw();
}

watch("value", isTray ? insist : show);
if (isTray) set(kept());
else show();
