// The page: its address, its controls and its picture kept in step. What is drawn is drawn by renderer.js.

import { Controls, tellProblem } from "./controls.js";
import { locate, positionsOf, walk } from "./latent.js";
import { readLink, withCheckpoint, writeLink } from "./link.js";
import { withNote, writeNote } from "./note.js";
import { Film, Grid } from "./picture.js";
import { imagesOf, inWords, PLACES, Renderer, withAddresses } from "./renderer.js";

const FRAMES_A_SECOND = 24;
const PATIENCE = 400; // milliseconds of drawing after which it is told how far it is
const REST = 400; // milliseconds without another picture after which one is said
const ADDRESS_DELAY = 200; // milliseconds; browsers refuse an address that changes too often

const find = (id) => document.getElementById(id);
const grid = new Grid(find("pane"), find("grid"));
const film = new Film(find("pane"), find("film"));
const pictureOf = { explore: grid, walk: film };

let checkpoints = [];
let renderer = null;
let controls = null;
let opening = { name: "", opened: null }; // of the generator that draws, or will once it is loaded
let state = null;
let turn = 0; // number of the latest drawing: an earlier one stops
let nextImage = 0; // where the next drawing begins: where the last was left, so that under a moving hand all images have their turn
let drawing = Promise.resolve(); // ends when the latest drawing does
let addressTimer = 0;
let resting = 0; // timer after which a picture is said

async function start() {
  const site = await readSite();
  ({ checkpoints } = site);
  renderer = new Renderer(site.runtime);
  controls = new Controls(checkpoints, change);
  for (const button of document.querySelectorAll("[data-screen]")) button.disabled = false;
  find("checkpoint-group").classList.toggle("alone", checkpoints.length === 1);
  find("controls").inert = false;
  addEventListener("hashchange", readAddress);
  requestAnimationFrame(tick);
  readAddress();
}

async function readSite() {
  const response = await fetch("site.json").catch(() => null);
  if (!response?.ok) throw new Error("site.json, the list of this page's generators, could not be loaded: check that the folder was copied whole.");
  const site = await response.json();
  for (const checkpoint of site.checkpoints) checkpoint.graphs = withAddresses(checkpoint.graphs, document.baseURI);
  return { runtime: withAddresses(site.runtime, document.baseURI), checkpoints: site.checkpoints };
}

// What the page shows.

function readAddress() {
  const { state: read, problems } = readLink(location.hash.slice(1), checkpoints);
  show(read);
  tellProblem(problems.join(" "));
}

function change(part) {
  const next = { ...state, ...part };
  show(part.checkpoint ? withCheckpoint(next, entryOf(part.checkpoint)) : next);
}

function show(next) {
  state = next;
  controls.show(state, entryOf(state.checkpoint));
  for (const button of document.querySelectorAll("[data-screen]")) {
    button.setAttribute("aria-current", button.dataset.screen === state.screen ? "page" : "false");
  }
  find("player").hidden = state.screen !== "walk";
  clearTimeout(addressTimer);
  addressTimer = setTimeout(writeAddress, ADDRESS_DELAY);
  const mine = ++turn;
  const stale = () => mine !== turn;
  drawing = draw(state, stale).catch((error) => stale() || fail(error)); // what is no longer wanted may fail unseen: its generator may be gone
}

function entryOf(name) {
  return checkpoints.find((checkpoint) => checkpoint.name === name);
}

function writeAddress() {
  clearTimeout(addressTimer);
  history.replaceState(null, "", `#${writeLink(state)}`);
}

// Drawing.

async function draw(wanted, stale) {
  const opened = await open(entryOf(wanted.checkpoint));
  if (stale()) return;
  const points = pointsOf(wanted, opened.checkpoint);
  const picture = pictureOf[wanted.screen];
  reveal(wanted.screen);
  picture.begin(points.length, wanted.seconds);
  const began = performance.now();
  let done = 0;
  if (!picture.complete) nextImage = 0;
  for await (const { first, pixels } of renderer.draw(points, wanted, opened.checkpoint, nextImage)) {
    if (stale()) return;
    const images = imagesOf(pixels, opened.checkpoint.resolution);
    images.forEach((image, index) => picture.put(first + index, image));
    nextImage = (first + images.length) % points.length;
    done += images.length;
    if (performance.now() - began > PATIENCE) tell(`Drawing ${done} of ${points.length} …`);
  }
  if (!stale()) finished(wanted, points.length, performance.now() - began, opened.backend);
}

// Once, however often it is asked for while it is loaded.
function open(checkpoint) {
  if (opening.name !== checkpoint.name) opening = { name: checkpoint.name, opened: load(checkpoint) };
  return opening.opened;
}

async function load(checkpoint) {
  reveal("waiting");
  const { name } = checkpoint;
  find("waiting-words").textContent = `Loading ${name}`;
  find("progress").value = 0;
  const { graphs, ...entry } = checkpoint;
  return renderer.open(entry, graphs, (arrived, all) => {
    if (opening.name !== name) return; // another was chosen since
    find("progress").value = arrived / all;
    find("waiting-words").textContent = arrived < all ? `Loading ${name}, ${Math.round(all / 1e6)} MB` : `Preparing ${name}`;
  });
}

function pointsOf(wanted, checkpoint) {
  if (wanted.screen === "explore") return locate(wanted.seeds, wanted.className, checkpoint);
  const stops = locate(wanted.stops, wanted.className, checkpoint);
  return walk(stops, positionsOf(Math.round(wanted.seconds * FRAMES_A_SECOND), stops.length));
}

// Show one of the things that the pane may hold: the grid, the film, what is waited for, or a failure.
function reveal(name) {
  const parts = { explore: find("grid"), walk: find("film"), waiting: find("waiting"), failure: find("failure") };
  const appears = parts[name].hidden;
  for (const [part, element] of Object.entries(parts)) element.hidden = part !== name;
  if (appears) pictureOf[name]?.layOut();
}

function finished(wanted, count, milliseconds, backend) {
  find("save").disabled = false;
  const what = wanted.screen === "walk" ? "frames" : count === 1 ? "image" : "images";
  const words = `${count} ${what} in ${inWords(milliseconds)} ${PLACES[backend]}`;
  tell(words);
  resting = setTimeout(tell, REST, words, "polite");
  const { canvas } = pictureOf[wanted.screen];
  const of = [wanted.checkpoint, wanted.className].filter(Boolean).join(", ");
  canvas.setAttribute("aria-label", wanted.screen === "walk" ? `Film through ${wanted.stops.length} seeds of ${of}` : `${count} ${what} of ${of}`);
  canvas.dataset.painted = writeLink(wanted);
}

function fail(error) {
  turn++; // whatever is still being drawn stops
  find("save").disabled = true;
  opening = { name: "", opened: null };
  reveal("failure");
  find("failure").querySelector("p").textContent = error.message;
  tell("");
}

// A screen reader is told neither of progress nor of a picture that another follows soon.
function tell(words, live = "off") {
  clearTimeout(resting);
  find("status").ariaLive = live;
  find("status").textContent = words;
}

// Of a film what is saved is the frame in sight; a grid carries its recipe.
async function save() {
  const { frame } = film;
  for (let waited = null; waited !== drawing; ) {
    waited = drawing;
    await waited; // oxlint-disable-line no-await-in-loop -- another drawing may have begun meanwhile
  }
  if (find("save").disabled) return; // it has failed: what is on screen is another picture, or half of one
  const { screen, checkpoint } = state;
  const note = screen === "explore" ? writeNote(state, grid.columns, entryOf(checkpoint).sha256) : null; // now: a dial may move while the picture is made
  const blob = await new Promise((resolve) => pictureOf[screen].toSave(frame).toBlob(resolve));
  if (!blob) {
    tellProblem("This picture is larger than the browser can save: write fewer seeds.");
    return;
  }
  const png = new Uint8Array(await blob.arrayBuffer());
  const data = note === null ? png : withNote(png, note);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([data], { type: "image/png" }));
  link.download = `${checkpoint}-${screen}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // once the download has begun: iOS asks first
}

// The film.

function setPlaying(playing) {
  film.play(playing);
  find("play").textContent = playing ? "Pause" : "Play";
}

function tick(now) {
  requestAnimationFrame(tick);
  if (state?.screen !== "walk") return;
  film.tick(now);
  if (!film.playing || document.activeElement !== find("frame")) showPlace();
}

// A screen reader says each value that a slider with the focus is given: while the film plays it is given none.
function showPlace() {
  if (!film.shown) return;
  find("frame").max = film.images.length - 1;
  find("frame").value = film.frame;
  find("frame").ariaValueText = `frame ${film.frame + 1} of ${film.images.length}`;
}

for (const button of document.querySelectorAll("[data-screen]")) {
  button.addEventListener("click", () => change({ screen: button.dataset.screen }));
}
find("play").addEventListener("click", () => setPlaying(!film.playing));
find("frame").addEventListener("input", (event) => {
  setPlaying(false);
  film.show(Number(event.target.value));
  showPlace();
});
find("frame").addEventListener("keydown", showPlace); // a key moves on from what is on screen
let saving = false; // what is asked for again meanwhile is on its way
find("save").addEventListener("click", async () => {
  if (saving) return;
  saving = true;
  await save().catch(fail);
  saving = false;
});
find("again").addEventListener("click", () => {
  if (state) writeAddress(); // what was wanted is what is tried again
  location.reload();
});

find("as-a-file").hidden = true;
setPlaying(!matchMedia("(prefers-reduced-motion: reduce)").matches);
start().catch(fail);
