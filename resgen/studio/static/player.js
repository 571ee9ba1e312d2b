// Plays the frames of a sprite in a loop; a slider moves through them by hand.
const canvas = element.querySelector("canvas");
const bar = element.querySelector(".rg-player-bar");
const play = element.querySelector(".rg-play");
const slider = element.querySelector("input");
let sprite = new Image();
let view = null;
let playing = !window.matchMedia("(prefers-reduced-motion: reduce)").matches;
let began = 0;

function paint(frame) {
  paintImage(canvas.getContext("2d"), sprite, view, frame, 0, 0, canvas.width);
  canvas.dataset.frame = frame;
}

function tick(now) {
  if (!element.isConnected) return;
  requestAnimationFrame(tick);
  if (!view || !playing || !element.offsetParent) return;
  const frame = Math.floor(((now - began) / 1000 / view.seconds) * view.frames) % view.frames;
  slider.value = frame;
  paint(frame);
}

function setPlaying(on) {
  playing = on;
  play.textContent = on ? "Pause" : "Play";
  play.setAttribute("aria-label", play.textContent);
  if (on && view) began = performance.now() - (Number(slider.value) / view.frames) * view.seconds * 1000;
}

async function show() {
  const next = props.value;
  const picture = await decode(next);
  if (!picture) return;
  sprite = picture;
  view = next;
  canvas.width = canvas.height = Math.max(view.tile, 512);
  slider.max = view.frames - 1;
  slider.value = Math.min(slider.value, view.frames - 1);
  element.querySelector(".rg-loading").hidden = true;
  canvas.hidden = bar.hidden = false;
  element.querySelector(".rg-status").textContent = view.status;
  paint(Number(slider.value));
  canvas.dataset.painted = view.query;
  setPlaying(playing);
  say(view);
}

play.addEventListener("click", () => setPlaying(!playing));
slider.addEventListener("input", () => {
  setPlaying(false);
  paint(Number(slider.value));
});
// A click on a stop of the film.
window.addEventListener("resgen-jump", ({ detail }) => {
  if (!view || !element.offsetParent || view.stops[detail] === undefined) return;
  setPlaying(false);
  slider.value = view.stops[detail];
  paint(view.stops[detail]);
});
whenSeen(() => say(view));
watch("value", show);
show();
requestAnimationFrame(tick);
