// The window of the seed plane that is drawn: [x, y, step], or null where seeds are. `input` comes while it moves, `release` when it rests.
// The grid, when it is dragged itself, tells the same by the event "resgen-wander": { plane, rests }.
const settings = element.querySelector(".rg-plane").dataset;
const [width, height, low, high, dialStep] = ["width", "height", "low", "high", "step"].map((name) => Number(settings[name]));
const PIXELS = 60; // of dragging for one seed
const FIRST = [0, 0, ENTRY_STEP];
const pad = element.querySelector(".rg-pad");
const now = element.querySelector(".rg-plane-now");
let from = null; // { pointer, x, y, plane } of where the finger that drags began
let isAsked = true; // whether the server was asked for what the page shows

const place = () => (Array.isArray(props.value) ? props.value.map(Number) : null);
const dial = makeDial({
  id: "plane-step",
  name: "Distance between neighbours, in seeds",
  low,
  high,
  step: dialStep,
  changed: (step) => set([...(place() || FIRST).slice(0, 2), step]),
  left: () => rest(),
});
dial.root.prepend(Object.assign(document.createElement("span"), { className: "rg-plane-step", textContent: "Seeds apart" }));
now.append(dial.root);

function set(plane) {
  props.value = plane;
  show();
  isAsked = !isFollowed({ plane });
  if (isAsked) trigger("input");
}

// The server draws what the page has drawn meanwhile.
function rest() {
  if (!isAsked) trigger("input");
  isAsked = true;
  trigger("release");
  now.querySelector(".rg-pad-rest").textContent = inWords(place() || FIRST); // to who cannot see where it goes, where it rests
}

const inWords = ([x, y]) => `x ${x.toFixed(2)}, y ${y.toFixed(2)}`;
const move = (plane) => set(onPlane(plane, width, height));

function show() {
  const plane = place();
  now.hidden = !plane;
  pad.querySelector(".rg-pad-words").hidden = Boolean(plane);
  const [x, y, step] = plane || FIRST;
  pad.style.backgroundPosition = `${-x * PIXELS}px ${-y * PIXELS}px`;
  now.querySelector(".rg-pad-place").textContent = inWords([x, y]);
  if (!dial.held) dial.show(within(step, low, high, dialStep));
}

pad.addEventListener("pointerdown", (event) => {
  if (event.button || !event.isPrimary) return;
  pad.setPointerCapture(event.pointerId);
  from = { pointer: event.pointerId, x: event.clientX, y: event.clientY, plane: place() || FIRST };
});
pad.addEventListener("pointermove", (event) => {
  if (from?.pointer !== event.pointerId) return;
  const [x, y, step] = from.plane;
  move([x - (event.clientX - from.x) / PIXELS, y - (event.clientY - from.y) / PIXELS, step]);
});
for (const end of ["pointerup", "pointercancel"]) {
  pad.addEventListener(end, (event) => {
    if (from?.pointer !== event.pointerId) return;
    if (place()) rest();
    from = null;
  });
}
pad.addEventListener("keydown", (event) => {
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (!(event.key in moves) || !isCommand(event)) return;
  event.preventDefault();
  const [dx, dy] = moves[event.key];
  const [x, y, step] = place() || FIRST;
  move([x + dx * 0.1, y + dy * 0.1, step]);
  rest();
});
now.querySelector(".rg-leave").addEventListener("click", () => {
  props.value = null;
  pad.focus(); // the button goes
  show();
  trigger("release");
});
window.addEventListener("resgen-wander", ({ detail }) => {
  if (detail.plane) move(detail.plane);
  if (detail.rests) rest();
});
watch("value", show);
show();
