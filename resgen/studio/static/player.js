// Plays the frames of a sprite in a loop, or all of the film's once the page has drawn them (here.js); a slider moves through them by hand. A screen
// reader says each value that a slider with the focus is given: while the film plays it is given none.
const canvas = element.querySelector("canvas");
const bar = element.querySelector(".rg-player-bar");
const play = element.querySelector(".rg-play");
const slider = element.querySelector("input");
let view = null;
let film = null; // what is played: the view with its picture, or with more frames in another
let playing = !window.matchMedia("(prefers-reduced-motion: reduce)").matches;
let began = 0;
let ticking = 0;

function paint(frame) {
  paintImage(canvas.getContext("2d"), film.picture, film, frame, 0, 0, canvas.width);
  canvas.dataset.frame = frame;
  if (!playing || document.activeElement !== slider) showPlace();
}

const painted = () => Number(canvas.dataset.frame);

function showPlace() {
  slider.value = painted();
  slider.setAttribute("aria-valuetext", `frame ${painted() + 1} of ${film.frames}`);
}

// Play other frames of the same length, from the same place on.
function take(next) {
  const place = film ? painted() / film.frames : 0;
  film = next;
  slider.max = film.frames - 1;
  paint(Math.min(film.frames - 1, Math.round(place * film.frames)));
  setPlaying(playing);
}

// All images side by side, as a view has them.
function joined(images) {
  const [columns, resolution] = [Math.ceil(Math.sqrt(images.length)), images[0].width];
  const picture = Object.assign(document.createElement("canvas"), { width: columns * resolution, height: columns * resolution });
  images.forEach((image, index) => putImage(picture, columns, image, index));
  return { picture, columns, frames: images.length };
}

// Ask to be called with each picture of the screen, while the film plays and is there to be seen.
function run() {
  if (!ticking && film && playing && element.offsetParent) ticking = requestAnimationFrame(tick);
}

function tick(now) {
  ticking = 0;
  run();
  if (!ticking) return;
  const frame = Math.max(0, Math.floor(((now - began) / 1000 / view.seconds) * film.frames)) % film.frames;
  if (frame !== painted()) paint(frame);
}

function setPlaying(on) {
  playing = on;
  play.textContent = on ? "Pause" : "Play";
  play.setAttribute("aria-label", play.textContent);
  if (on && film) began = performance.now() - (painted() / film.frames) * view.seconds * 1000;
  run();
}

// There is nothing to play any more.
function clear() {
  undecode();
  view = film = null;
  canvas.hidden = bar.hidden = true;
  element.querySelector(".rg-status").textContent = "";
  element.querySelector(".rg-loading").hidden = false;
}

async function show() {
  const next = props.value;
  if (!next && view) clear();
  const picture = await decode(next);
  if (!picture) return;
  view = next;
  canvas.width = canvas.height = Math.max(view.tile, 512);
  element.querySelector(".rg-loading").hidden = true;
  canvas.hidden = bar.hidden = false;
  element.querySelector(".rg-status").textContent = view.status;
  take({ ...view, picture });
  canvas.dataset.painted = view.query;
  say(view);
  window.dispatchEvent(new CustomEvent("resgen-film", { detail: view }));
}

play.addEventListener("click", () => setPlaying(!playing));
slider.addEventListener("input", () => {
  setPlaying(false);
  paint(Number(slider.value));
});
for (const name of ["keydown", "blur"]) slider.addEventListener(name, () => film && showPlace()); // a key moves on from what is on screen
// A click on a stop of the film.
window.addEventListener("resgen-jump", ({ detail }) => {
  if (!film || !element.offsetParent || film.stops[detail] === undefined) return;
  setPlaying(false);
  paint(film.stops[detail]);
});
window.addEventListener("resgen-film-drawn", ({ detail: { images, stops, status, view: of } }) => {
  if (of !== view) return;
  take({ ...view, ...joined(images), stops });
  element.querySelector(".rg-status").textContent = status;
});
whenSeen(() => {
  say(view);
  run();
});
watch("value", show);
show();
