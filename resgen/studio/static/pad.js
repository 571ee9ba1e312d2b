// A pad to drag across the seed plane. Its value is [x, y]; `input` is triggered while it moves.
const PIXELS = 60; // of dragging for one seed
const plane = element.querySelector(".rg-pad-box").dataset; // its greatest x and y
const pad = element.querySelector(".rg-pad");
let from = null;

function place() {
  return Array.isArray(props.value) ? props.value.map(Number) : [0, 0];
}

function move(x, y) {
  const within = (value, most) => Math.round(Math.min(Number(most), Math.max(0, value)) * 1000) / 1000;
  props.value = [within(x, plane.width), within(y, plane.height)];
  show();
  trigger("input");
}

function show() {
  const [x, y] = place();
  pad.style.backgroundPosition = `${-x * PIXELS}px ${-y * PIXELS}px`;
  element.querySelector(".rg-pad-place").textContent = `x ${x.toFixed(2)}, y ${y.toFixed(2)}`;
}

pad.addEventListener("pointerdown", (event) => {
  pad.setPointerCapture(event.pointerId);
  from = { x: event.clientX, y: event.clientY, place: place() };
});
pad.addEventListener("pointermove", (event) => {
  if (!from) return;
  move(from.place[0] - (event.clientX - from.x) / PIXELS, from.place[1] - (event.clientY - from.y) / PIXELS);
});
for (const end of ["pointerup", "pointercancel"]) pad.addEventListener(end, () => (from = null));
pad.addEventListener("keydown", (event) => {
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (!(event.key in moves)) return;
  event.preventDefault();
  const [dx, dy] = moves[event.key];
  const [x, y] = place();
  move(x + dx * 0.1, y + dy * 0.1);
});
watch("value", show);
show();
