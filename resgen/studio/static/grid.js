// A grid of images: one canvas painted from a sprite, one button over each image, and a place for the chosen one.
// The template's data: `actions`, [name, label, help] of each button beside the chosen image; `wanders`, whether dragging it moves the window of the seed plane, of `width` x `height` with steps from `low` to `high`.
const LATEST = 6000; // milliseconds that something may wait for the studio's view
const settings = element.querySelector(".rg-view").dataset;
const find = (selector) => element.querySelector(selector);
const pane = find(".rg-pane");
const sheet = makeSheet({
  pane,
  stage: find(".rg-stage"),
  canvas: find(".rg-canvas"),
  rowLabels: find(".rg-rows"),
  columnLabels: find(".rg-columns"),
  narrow: window.matchMedia(settings.narrow),
});
const tiles = makeTiles({ root: find(".rg-tiles"), choose });
const closeUp = makeCloseUp({ root: find(".rg-close-up"), actions: JSON.parse(settings.actions) });
const waits = makeWaits(LATEST);
const marks = makeMarks();
const before = makeBefore({ ask: () => trigger("undo"), repaint: paint });
const [width, height, low, high] = ["width", "height", "low", "high"].map((name) => Number(settings[name]));
const wander = makeWander({
  sheet,
  width,
  height,
  low,
  high,
  latest: LATEST,
  viewOf: () => view,
  repaint: refresh,
  tell: (plane, rests) => window.dispatchEvent(new CustomEvent("resgen-wander", { detail: { plane, rests } })),
});
const REST = 400; // milliseconds in which no hand moves a control and no picture comes: it is said then, and what hangs on it drawn, keeping no other waiting
find(".rg-view").told = {};
let sprite = new Image();
let view = null;
let isTurned = false; // whether a dial was turned since the view came
let chosen = -1;
let told = ""; // which image the ends of directions were asked for
let toldTile = null; // the image that others were told to go by
let rested = null; // the view that was told to be at rest
let resting = 0; // timer of the next such word

const isPlain = () => !view.rowLabels.length && !view.columnLabels.length && !wander.planeOf(view) && !wander.isSpread(view) && settings.wanders;

function refresh() {
  sheet.lay(view, isPlain());
  layTiles();
  paint();
}

const seen = () => before.seen(view) ?? { view, picture: sprite };

function paint() {
  if (!view) return;
  sheet.paint(seen(), before.seen(view) !== null); // not before it has come
  wander.shift();
  showChosen();
}

function showChosen() {
  const isAlone = chosen >= 0 && Boolean(view.tiles[chosen]);
  closeUp.show(chosen < 0 ? null : { ...seen(), index: chosen, caption: view.captions[chosen], isAlone, kind: marks.kindOf(view, chosen) });
}

// As renderer.py makes it: a pin travels with all that hangs on it.
function thumbnail(index) {
  const side = Math.min(view.resolution, 104);
  const small = Object.assign(document.createElement("canvas"), { width: side, height: side });
  paintImage(small.getContext("2d"), sprite, view, index, 0, 0, side);
  return small.toDataURL("image/png");
}

// The place of an image in its recipe: along a strip a row is one image.
const placeOf = (index) => (new URLSearchParams(view.query).has("sweep") ? Math.floor(index / view.columns) : index);

function layTiles() {
  const root = find(".rg-view");
  root.dataset.place = placeOf(chosen);
  if (chosen >= 0) root.dataset.last = placeOf(chosen);
  const { captions } = view;
  tiles.lay({ captions, kinds: captions.map((_, index) => marks.kindOf(view, index)), columns: sheet.columns(), rows: sheet.rows(), chosen });
}

const checkpointOf = (shown) => new URLSearchParams(shown.query).get("checkpoint");

function tell(event, details) {
  find(".rg-view").told[event] = details; // `listen` asks for them
  trigger(event, details);
}

// The image that others of the screen go by: the chosen one, else the first.
function tellChosen() {
  const place = Math.max(chosen, 0);
  toldTile = view.tiles[place];
  tell("input", { index: chosen, tile: toldTile });
  const which = [chosen < 0 ? checkpointOf(view) : view.keys[place], new URLSearchParams(view.query).get("own_directions")].join();
  if (settings.wanders && which !== told) tell("expand", { tile: view.tiles[place], whole: view.query });
  told = which;
}

// While a hand turns a dial, a picture of all images, or some that the page has drawn itself, take the place of those of the view.
function takeDrawn({ view: of, picture, parts, plane, status }) {
  if (of !== view) return;
  waits.begin();
  if (picture) sprite = picture;
  if (parts.length && !(sprite instanceof HTMLCanvasElement)) sprite = copyOf(sprite);
  for (const { first, images } of parts) images.forEach((image, place) => putImage(sprite, view.columns, image, first + place));
  if (plane) wander.takeDrawn(view, plane);
  paint();
  if (status) tellStatus(status, "off");
}

// A screen reader is told of no picture that another follows soon: what the hand is left at is said.
function tellStatus(words, live) {
  const status = find(".rg-status");
  status.ariaLive = live;
  status.textContent = words;
}

function copyOf(picture) {
  const copy = Object.assign(document.createElement("canvas"), { width: picture.width, height: picture.height });
  copy.getContext("2d").drawImage(picture, 0, 0);
  return copy;
}

const isTold = () => view.tiles[Math.max(chosen, 0)] === toldTile;

function tellAtRest() {
  clearTimeout(resting);
  if (view && !(isTold() && rested === view)) resting = setTimeout(tellRested, toldTile === null ? 0 : REST);
}

function tellRested() {
  if (!isTold()) tellChosen();
  if (rested !== view) tellStatus(view.status, "polite");
  rested = view;
  if (settings.wanders) window.dispatchEvent(new CustomEvent("resgen-rests", { detail: view }));
}

function choose(index) {
  chosen = index;
  closeUp.look(null);
  layTiles();
  if (index >= 0) window.dispatchEvent(new CustomEvent("resgen-chosen"));
  showChosen();
  tellChosen();
  tellAtRest();
}

// There is nothing to show any more.
function clear() {
  undecode();
  clearTimeout(resting);
  view = null;
  chosen = -1;
  sheet.clear();
  find(".rg-loading").hidden = false;
  find(".rg-status").textContent = "";
  showChosen();
}

// Where no hand has done anything, the same picture is no news.
const isSaidAgain = (next) => view !== null && !isTurned && next?.query === view.query && next.src === view.src;

async function show() {
  const next = props.value;
  if (!next && view) clear();
  if (isSaidAgain(next)) return undecode();
  const picture = await decode(next);
  if (!picture) return;
  if (view && checkpointOf(next) !== checkpointOf(view)) clearMarks();
  if (view && JSON.stringify(next.keys) !== JSON.stringify(view.keys)) delete find(".rg-view").dataset.last; // these are other images
  sprite = picture;
  view = next;
  isTurned = false;
  if (chosen >= view.captions.length) chosen = -1;
  find(".rg-loading").hidden = true;
  refresh();
  tellStatus(view.status, "off");
  const isOld = settings.wanders && !window.dispatchEvent(new CustomEvent("resgen-came", { detail: view, cancelable: true })); // a hand has turned on since
  tellAtRest();
  share();
  if (!isOld) waits.end();
}

const share = () => say(view);

function pin(place) {
  if (!view?.tiles[place]) return;
  const detail = { query: view.tiles[place], caption: view.captions[place], thumbnail: thumbnail(place) };
  window.dispatchEvent(new CustomEvent("resgen-pin", { detail }));
}

function mark(kind, place) {
  if (!view.tiles[place]) return;
  marks.mark(view, place, kind);
  showMarks();
}

function clearMarks() {
  if (marks.isEmpty()) return;
  marks.clear();
  showMarks();
}

function showMarks() {
  layTiles();
  showChosen();
  tell("like", marks.told());
}

// Hands and keys.

const over = find(".rg-tiles");
over.addEventListener("click", (event) => wander.endsDrag() || tiles.click(event));
over.addEventListener("keydown", (event) => isCommand(event) && tiles.press(event));
if (settings.wanders) {
  const on = (name, hand, options) => over.addEventListener(name, (event) => view && hand(event), options);
  on("pointerdown", wander.start);
  on("pointermove", wander.follow);
  for (const end of ["pointerup", "pointercancel"]) on(end, wander.end);
  on("wheel", wander.turnWheel, { passive: false });
  over.addEventListener("dragstart", (event) => event.preventDefault());
}

find(".rg-close-up").addEventListener("click", (event) => {
  const action = event.target.closest("button")?.dataset.action;
  if (!action) return;
  if (action === "close") leave();
  else waits.once(act.bind(null, action, chosen));
});

function act(action, place) {
  if (action === "pin") pin(place);
  else if (action === "more" || action === "less") mark(action, place);
  else if (action === "save") trigger("download", { tile: view.tiles[place] });
  else {
    trigger("select", { action, tile: view.tiles[place] });
    leave();
  }
}

// No image is chosen any more; the keyboard's focus goes to the one that was, since the buttons beside it can't keep it.
function leave() {
  tiles.focus(chosen);
  choose(-1);
}

find(".rg-close-up").addEventListener("keydown", (event) => {
  if (event.key === "Escape") leave();
});

function compare(on) {
  if (view) before.hold(on, view);
}

async function takeOriginal(shown) {
  before.take({ view: shown, picture: await pictureOf(shown) });
}

function command(event) {
  if (!element.offsetParent || !isShortcut(event)) return;
  const key = event.key.toLowerCase(); // as with the capitals locked
  if (key === "p") waits.once(pin.bind(null, chosen));
  if (!settings.wanders) return;
  if (key === "r") document.querySelector("#random")?.click();
  if (key === "b") compare(true);
}

window.addEventListener("keydown", command);

if (settings.wanders) {
  window.addEventListener("keyup", (event) => event.key.toLowerCase() === "b" && compare(false));
  window.addEventListener("blur", () => compare(false)); // of a key that is let go elsewhere nothing is told
  window.addEventListener("resgen-before", ({ detail }) => takeOriginal(detail));
  window.addEventListener("resgen-hold", ({ detail }) => compare(detail));
  window.addEventListener("resgen-look", ({ detail }) => closeUp.look(detail));
  window.addEventListener("resgen-look-again", ({ detail }) => closeUp.isLooking() && closeUp.look(detail)); // unless it was closed since
  window.addEventListener("resgen-clear-marks", clearMarks);
  window.addEventListener("resgen-once-said", ({ detail }) => waits.once(detail));
  window.addEventListener("resgen-turning", () => (isTurned = true));
  window.addEventListener("resgen-drawn", ({ detail }) => takeDrawn(detail));
}

new ResizeObserver(() => {
  if (view && pane.clientWidth) refresh();
}).observe(pane);
whenSeen(share);
window.addEventListener("input", tellAtRest, true);
watch("value", show);
show();
