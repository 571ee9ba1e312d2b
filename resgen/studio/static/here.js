// While a dial is turned, the grid follows the hand beside Gradio's queue: a picture is one plain request, or drawn by the page itself where that
// is measured to be sooner (preview.js does it, which is fetched when it is wanted). Once the hand lets go, the studio draws as ever.
// The seed plane is wandered in the same way: its window is drawn whole, so that neighbours stay neighbours.
// "resgen-came" brings the view on screen, "resgen-rests" tells that it stays; "resgen-turning" what a dial is turned to, taken where it is drawn in
// one of these ways; "resgen-drawn" gives the grid its images. "resgen-film" brings a film, of which the server draws few frames a second;
// "resgen-film-drawn" gives it all of them, drawn by the page.
const CHOICE = "resgen-draw-here"; // "yes" or "no" of the visitor; else it is measured
const SLOW = 600; // milliseconds of the server from which what draws on a processor is worth fetching: it takes as long
const AGAIN = 5000; // milliseconds until a generator that is being prepared is asked for again
const base = new URL("drawing/", document.baseURI).href;
const settings = element.querySelector(".rg-plane-size").dataset;
const button = element.querySelector(".rg-here");
let preview = null; // the module
let opened = null; // the generator that draws here: { sha256, each: milliseconds that an image takes, loaded: a promise of itself }, with what preview.js opens
let turn = null; // of the view on screen: { view, link: its query, rest: where its dials stood, told: what was turned, source: what is drawn from here, from: the image that the next drawing begins with, ... }
let isHeld = false; // whether a pointer is down: without one a dial is let go at once
let trip = 0; // milliseconds to the server and back
let isFollowing = false; // on the way to be ready
let later = 0; // the timer of the next try
let isDrawing = false;
let filmed = null; // the view of the film on screen

const there = () => trip + turn.view.milliseconds; // what a picture takes there
const isSooner = ({ generator: { each }, stand: { count } }) => recall(CHOICE) === "yes" || (recall(CHOICE) === "" && each > 0 && each * count < there());

async function ask(address, body = null) {
  const response = await fetch(new URL(address, base), body === null ? {} : { method: "POST", body });
  if (response.status === 202) return null;
  if (!response.ok) throw new Error(`${address} is answered with ${response.status}`);
  return response.json();
}

// A view came to rest: be ready for the hand.
async function follow(of) {
  const choice = recall(CHOICE);
  isFollowing = true;
  showChoice();
  await prepare(of).catch(() => giveUp(of));
  if (turn !== of) return;
  isFollowing = false;
  showChoice();
  if (recall(CHOICE) !== choice) follow(of); // it was chosen otherwise meanwhile
}

async function prepare(of) {
  const { view } = of;
  const began = performance.now();
  let told = trip ? null : await ask("stand", view.query);
  trip ||= performance.now() - began;
  button.hidden = false;
  if (!(await isWorthwhile(there()))) return;
  told ||= await ask("stand", view.query);
  const generator = await open(of.link.get("checkpoint"), told.sha256);
  if (turn !== of) return;
  if (!generator) {
    clearTimeout(later);
    later = setTimeout(() => turn === of && follow(of), AGAIN);
    return;
  }
  of.source = { stand: preview.readStand(told), generator };
  if (!generator.each) await measure(of);
}

// The server draws these images, as it did; what cannot be drawn here cannot be chosen either. The next ones are tried anew.
function giveUp(of) {
  if (of.source) forget(of.source.generator);
  of.source = null;
  if (turn === of) button.hidden = true;
}

// Of what the server takes so many milliseconds for; 0 where nobody waits for it.
async function isWorthwhile(milliseconds) {
  if (recall(CHOICE) === "no") return false;
  preview ||= await import(new URL("studio/static/preview.js", base).href);
  if (recall(CHOICE) === "yes") return true;
  return !navigator.connection?.saveData && (milliseconds > SLOW || preview.hasGpu());
}

// Once, however often it is asked for while it is loaded; anew where that failed. Null where it is being prepared.
function open(name, sha256) {
  if (opened?.sha256 !== sha256) {
    opened = { sha256, each: 0 };
    opened.loaded = load(name, opened);
  }
  return opened.loaded;
}

async function load(name, generator) {
  try {
    const served = await ask(`generators/${encodeURIComponent(name)}`);
    return served && Object.assign(generator, await preview.openGenerator(served, base));
  } finally {
    if (!generator.renderer) forget(generator);
  }
}

function forget(generator) {
  if (opened === generator) opened = null;
}

function restingOf(view) {
  const link = new URLSearchParams(view.query);
  const gains = (link.get("residual_gains") || "").split(",").filter(Boolean).map(Number);
  const rest = { truncation: Number(link.get("truncation") ?? 1), gains, directions: pairsOf(link.get("directions") || "") };
  return { view, link, rest, told: {}, source: null, from: 0, isWanted: false, isRefused: false };
}

// "a=1,b=-0.5" -> { a: 1, b: -0.5 }, as fields.py writes it.
function pairsOf(text) {
  const pairs = text.split(",").filter(Boolean).map((pair) => pair.split("="));
  return Object.fromEntries(pairs.map(([name, value]) => [decodeURIComponent(name), Number(value)]));
}

// Whether another window of the seed plane is this view but for its points.
function canWander({ view, link }) {
  const isPlain = !["latents", "variation_of", "edits", "sweep", "class_mix"].some((name) => link.has(name));
  return isPlain && view.captions.length === view.columns * view.rows && !(link.get("classes") || "").includes(",");
}

// Whether the page itself draws it, and can: the window of a generator whose noise it draws as the server does.
function isHere({ source, link, told }) {
  if (!source || source.generator !== opened || !isSooner(source)) return false;
  const [{ mapped, classes }, className] = [source.generator.checkpoint, link.get("classes") || ""];
  return !told.plane || (mapped && (!className || classes.includes(className)));
}

// The second drawing counts: the first prepares what all others use.
async function measure(of) {
  const { stand, generator } = of.source;
  for (let times = 0; times < 2; times++) {
    const began = performance.now();
    await drawUnseen(of, pieces(of)); // oxlint-disable-line no-await-in-loop -- one after the other
    if (turn !== of) return;
    generator.each = (performance.now() - began) / stand.count;
  }
}

// Until all of it is drawn, or another picture is on screen.
async function drawUnseen(of, parts) {
  if (turn === of && !(await parts.next()).done) await drawUnseen(of, parts);
}

async function* pieces(of) {
  const { stand, generator } = of.source;
  const { truncation, gains, plane } = { ...of.rest, ...of.told };
  const turned = new Map(Object.entries(of.told.directions || {}).map(([name, amount]) => [name, amount - (of.rest.directions[name] || 0)]));
  const w = plane
    ? await preview.wandered(generator, pointsOf(of, plane), stand, truncation, turned)
    : preview.moved(stand, truncation, turned, generator.checkpoint);
  const allGains = preview.gainsOf(gains, stand.count, generator.checkpoint);
  yield* generator.renderer.synthesise(w, allGains, generator.checkpoint, plane ? 0 : of.from);
}

function pointsOf({ view: { columns, rows }, link, source }, plane) {
  const window = { plane, columns, rows, width: Number(settings.width), height: Number(settings.height) };
  return preview.pointsOf(window, link.get("classes") || "", source.generator.checkpoint);
}

// A dial is turned: { truncation }, { gains }, { directions } by name, or { plane }, a window of the seed plane. False where the studio has to draw it.
function take(told) {
  if (!turn || (told.directions && turn.link.has("sweep")) || (told.plane && !canWander(turn))) return false;
  if (!isHere({ ...turn, told }) && (!isHeld || turn.isRefused)) return false;
  Object.assign(turn.told, told, told.directions && { directions: { ...turn.told.directions, ...told.directions } });
  turn.isWanted = true;
  draw(turn);
  return true;
}

async function draw(of) {
  if (isDrawing) return;
  isDrawing = true;
  of.isWanted = false;
  if (isHere(of)) await drawHere(of).catch(() => giveUp(of));
  else await drawThere(of).catch(() => (of.isRefused = true));
  isDrawing = false;
  if (turn.isWanted) draw(turn); // what was turned last is drawn last
}

const tell = (detail) => window.dispatchEvent(new CustomEvent("resgen-drawn", { detail: { parts: [], status: "", ...detail } }));

async function drawThere(of) {
  const { view, told: turned } = of;
  const { plane } = turned;
  const drawn = await ask("picture", JSON.stringify({ query: view.query, turned }));
  const picture = await pictureOf(drawn);
  if (turn === of) tell({ view, picture, plane, status: drawn.status });
}

async function drawHere(of) {
  const { view, source, told: { plane } } = of;
  const began = performance.now();
  const held = [];
  for await (const { first, pixels } of pieces(of)) {
    if (turn !== of) return;
    const part = { first, images: preview.imagesOf(pixels, source.generator.checkpoint.resolution) };
    held.push(part);
    of.from = (first + part.images.length) % source.stand.count;
    if (plane) continue;
    tell({ view, parts: [part] });
    if (of.isWanted) return;
  }
  tell({ view, parts: plane ? held : [], plane, status: words(source, performance.now() - began) });
  of.from = 0;
}

function words({ stand, generator }, milliseconds) {
  generator.each = milliseconds / stand.count;
  return `${stand.count} image${stand.count > 1 ? "s" : ""} in ${preview.inWords(milliseconds)} ${preview.PLACES[generator.backend]}`;
}

// All frames of a film, where they are drawn sooner than it plays.
async function film(view) {
  if (!(await isWorthwhile(0)) || filmed !== view) return;
  const told = await ask("film", view.query);
  if (told.count <= view.frames) return;
  const generator = await open(told.checkpoint, told.sha256);
  if (filmed !== view) return;
  if (generator) await drawFilm(view, told, generator);
  else setTimeout(() => filmed === view && beginFilm(view), AGAIN);
}

async function drawFilm(view, told, generator) {
  const { resolution } = generator.checkpoint;
  const { w, gains } = preview.readFilm(told);
  const began = performance.now();
  const milliseconds = () => performance.now() - began;
  const images = [];
  for await (const { pixels } of generator.renderer.synthesise(w, gains, generator.checkpoint, 0)) {
    const isTooSlow = milliseconds() > view.seconds * 1000 && recall(CHOICE) !== "yes";
    if (filmed !== view || opened !== generator || isTooSlow) return;
    images.push(...preview.imagesOf(pixels, resolution));
  }
  const status = `${images.length} frames in ${preview.inWords(milliseconds())} ${preview.PLACES[generator.backend]}`;
  window.dispatchEvent(new CustomEvent("resgen-film-drawn", { detail: { view, images, stops: told.stops, status } }));
}

// What cannot be drawn here stays as the server drew it.
function beginFilm(view) {
  filmed = view;
  film(view).catch(() => {});
}

// What the visitor has chosen, else what was measured.
const isOn = () => (recall(CHOICE) ? recall(CHOICE) === "yes" : Boolean(turn.source && isSooner(turn.source)));

function showChoice() {
  button.setAttribute("aria-checked", String(isOn()));
  button.setAttribute("aria-busy", String(isFollowing || (isOn() && !turn.source))); // also until the next try
}

button.addEventListener("click", () => {
  keep(CHOICE, isOn() ? "no" : "yes");
  showChoice();
  if (!isFollowing) follow(turn);
});
window.addEventListener("resgen-came", ({ detail }) => (turn = restingOf(detail)));
window.addEventListener("resgen-rests", () => turn && follow(turn));
window.addEventListener("resgen-film", ({ detail }) => beginFilm(detail));
window.addEventListener("resgen-turning", (event) => take(event.detail) && event.preventDefault());
window.addEventListener("pointerdown", () => (isHeld = true), true);
for (const end of ["pointerup", "pointercancel"]) window.addEventListener(end, () => (isHeld = false), true);
when("#grid .rg-status-line", (line) => line.append(button));
