// A list of pinned images, each { query, caption, thumbnail }. `data-tray` marks the one that collects what is pinned anywhere
// in the page, and that the browser keeps for the next visit; the event "resgen-news" says how each pinning went. `data-ordered` marks one whose
// order matters: its images are dragged to another place, or moved by Alt and an arrow key. A click tells which image it was: by the event
// "resgen-jump" where the order matters, elsewhere by `select`, { query }.
const KEPT = "resgen-pins";
const { tray: isTray, most, ordered } = element.querySelector(".rg-pins").dataset;
const list = element.querySelector(".rg-pins-list");
const clear = element.querySelector(".rg-clear");
const hint = element.querySelector(".rg-pins-hint");

let current = [];
let lifted = null; // { index, pointer, x, y, moved } of the image that is held
let isDropped = false; // whether the click that ends a drag may still come

function set(next) {
  current = next.slice(0, Number(most));
  props.value = current;
  draw();
  trigger("change");
}

// Pin an image if it can be, and say in words how that went.
function take(pin) {
  if (current.some(({ query }) => query === pin.query)) return "Pinned already";
  if (current.length >= Number(most)) return `There is room for ${most}: remove one, then pin this.`;
  set([...current, pin]);
  return `Pinned, ${current.length} of ${most}`;
}

function show() {
  current = Array.isArray(props.value) ? props.value : [];
  draw();
}

const madeBy = (pin) => `${pin.caption} by ${new URLSearchParams(pin.query).get("checkpoint")}`;

function button(className, label, act) {
  const made = Object.assign(document.createElement("button"), { type: "button", className, title: label });
  made.setAttribute("aria-label", label);
  made.addEventListener("click", act);
  return made;
}

function lay(pin, index) {
  const item = Object.assign(document.createElement("div"), { className: "rg-pin" });
  item.setAttribute("role", "listitem");
  const open = button("rg-pin-open", madeBy(pin), () => tell(pin, index));
  open.append(Object.assign(document.createElement("img"), { src: pin.thumbnail, alt: "", draggable: false }));
  const remove = button("rg-pin-remove", `Remove ${pin.caption}`, () => set(current.filter((_, other) => other !== index)));
  remove.textContent = "×";
  item.append(open, remove);
  if (ordered) makeMovable(open, index);
  return item;
}

function tell(pin, index) {
  if (isDropped) return;
  if (ordered) window.dispatchEvent(new CustomEvent("resgen-jump", { detail: index }));
  else trigger("select", { query: pin.query });
}

const isHeldBy = (event) => lifted?.pointer === event.pointerId;

function makeMovable(open, index) {
  open.setAttribute("aria-keyshortcuts", "Alt+ArrowLeft Alt+ArrowRight");
  open.addEventListener("pointerdown", (event) => {
    if (event.button || !event.isPrimary) return;
    open.setPointerCapture(event.pointerId);
    lifted = { index, pointer: event.pointerId, x: event.clientX, y: event.clientY, moved: false };
  });
  open.addEventListener("pointermove", (event) => {
    if (!isHeldBy(event)) return;
    const [across, down] = [event.clientX - lifted.x, event.clientY - lifted.y];
    lifted.moved ||= Math.hypot(across, down) > 8;
    if (lifted.moved) open.parentElement.style.transform = `translate(${across}px, ${down}px)`;
  });
  open.addEventListener("pointerup", (event) => {
    if (!isHeldBy(event)) return;
    if (lifted.moved) drop(placeAt(event.clientX, event.clientY));
    lifted = null;
  });
  open.addEventListener("pointercancel", (event) => isHeldBy(event) && draw());
  open.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || !event.altKey) return;
    event.preventDefault();
    move(index, Math.max(0, Math.min(current.length - 1, index + step)));
    list.children[Math.max(0, Math.min(current.length - 1, index + step))].firstChild.focus();
  });
}

function drop(to) {
  isDropped = true;
  setTimeout(() => (isDropped = false));
  move(lifted.index, to);
}

// The place in the list that a point lies at.
function placeAt(x, y) {
  const { left, top } = list.getBoundingClientRect();
  const away = [...list.children].map((item) =>
    Math.hypot(item.offsetLeft + item.offsetWidth / 2 - (x - left), item.offsetTop + item.offsetHeight / 2 - (y - top)),
  );
  return away.indexOf(Math.min(...away));
}

function move(from, to) {
  const next = [...current];
  next.splice(to, 0, ...next.splice(from, 1));
  if (from === to) draw();
  else set(next);
}

function draw() {
  const held = document.activeElement;
  lifted = null;
  hint.hidden = current.length > 0;
  clear.hidden = !current.length;
  if (held === clear && clear.hidden) focusOn(null);
  const place = [...list.children].findIndex((item) => item.contains(held));
  list.replaceChildren(...current.map(lay));
  if (place >= 0) focusOn(list.children[Math.min(place, current.length - 1)], held.className);
  if (isTray) keep(KEPT, JSON.stringify(current));
}

// The keyboard stays where it was: with what took the place of an image that is gone, or with the heading where none is left.
function focusOn(item, part) {
  (item?.querySelector(`.${part}`) ?? element.querySelector(".rg-pins-title")).focus();
}

function kept() {
  try {
    const pins = JSON.parse(recall(KEPT) || "[]");
    const sound = (pin) => typeof pin.query === "string" && typeof pin.caption === "string" && String(pin.thumbnail).startsWith("data:image/png;");
    return Array.isArray(pins) ? pins.filter(sound) : [];
  } catch {
    return [];
  }
}

clear.addEventListener("click", () => set([]));
if (isTray) {
  window.addEventListener("resgen-pin", ({ detail }) => window.dispatchEvent(new CustomEvent("resgen-news", { detail: take(detail) })));
  // Another window of the same browser has pinned or removed something.
  window.addEventListener("storage", (event) => {
    if (event.key === KEPT && JSON.stringify(kept()) !== JSON.stringify(current)) set(kept());
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
