// A list of pinned images, each { query, caption, thumbnail }. `data-tray` marks the one that collects what is pinned anywhere
// in the page, and that the browser keeps for the next visit.
const KEPT = "resgen-pins";
const MOST = 32;
const isTray = element.querySelector(".rg-pins").dataset.tray;
const list = element.querySelector(".rg-pins-list");

function pins() {
  return Array.isArray(props.value) ? props.value : [];
}

function set(next) {
  props.value = next.slice(-MOST);
  show();
  trigger("change");
}

function show() {
  element.querySelector(".rg-pins-hint").hidden = pins().length > 0;
  list.replaceChildren(
    ...pins().map((pin, index) => {
      const item = Object.assign(document.createElement("div"), { className: "rg-pin", title: pin.caption });
      item.setAttribute("role", "listitem");
      const image = Object.assign(document.createElement("img"), { src: pin.thumbnail, alt: pin.caption });
      const remove = Object.assign(document.createElement("button"), { type: "button", textContent: "×", title: `Remove ${pin.caption}` });
      remove.setAttribute("aria-label", `Remove ${pin.caption}`);
      remove.addEventListener("click", () => set(pins().filter((_, other) => other !== index)));
      item.append(image, remove);
      return item;
    }),
  );
  if (isTray) keep();
}

function keep() {
  try {
    window.localStorage.setItem(KEPT, JSON.stringify(pins()));
  } catch {
    // Storage may be full or forbidden; the pins then last as long as the page.
  }
}

function kept() {
  try {
    const pins = JSON.parse(window.localStorage.getItem(KEPT) || "[]");
    const sound = (pin) => typeof pin.query === "string" && typeof pin.caption === "string" && /^data:image\/png;/.test(pin.thumbnail);
    return Array.isArray(pins) ? pins.filter(sound) : [];
  } catch {
    return [];
  }
}

if (isTray) {
  window.addEventListener("resgen-pin", (event) => {
    if (!pins().some((pin) => pin.query === event.detail.query)) set([...pins(), event.detail]);
  });
  const before = kept();
  if (before.length) set(before);
}
watch("value", show);
show();
