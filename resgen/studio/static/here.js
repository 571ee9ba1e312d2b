// While a dial is turned, the grid follows the hand beside Gradio's queue: a picture is one plain request, or drawn by the page itself where that
// is measured to be sooner (preview.js does it, which is fetched when it is wanted). Once the hand lets go, the studio draws as ever.
// The seed plane is wandered in the same way: its window is drawn whole, so that neighbours stay neighbours.
// "resgen-came" brings the view on screen, "resgen-rests" tells that it stays; "resgen-turning" what a dial is turned to, taken where it is drawn in
// one of these ways; "resgen-drawn" gives the grid its images. "resgen-film" brings a film, of which the server draws few frames a second;
// "resgen-film-drawn" gives it all of them, drawn by the page.
const CHOICE = "resgen-draw-here"; // "yes" or "no" of the visitor; else it is measured
const AGAIN = 5000; // milliseconds until a generator that is being prepared is asked for again
const TRIES = 2; // failures from which on it is tried again only when that is asked for
const HUNG = 15_000; // milliseconds beyond ten times the usual until nothing more is expected of this device
const REST = 400; // milliseconds without another film
const WORDS = "While a dial is turned, this device draws, not the server; it fetches about 35 MB once";
const FAILED = "This device could not do it, so the server draws; press to try again";
const GETTING_READY = ": getting ready …";
const { pathname } = new URL(window.gradio_config?.root ?? ".", document.baseURI); // of the studio, which the page's own address may lack the last stroke of
const base = new URL(`${pathname.replace(/\/$/, "")}/drawing/`, document.baseURI).href;
const settings = element.querySelector(".rg-plane-size").dataset;
const button = element.querySelector(".rg-here");
let preview = null; // the module
let opened = null; // the generator that draws here: { sha256, each: milliseconds that an image takes, loaded: a promise of itself }, with what preview.js opens
let turn = null; // of the view on screen: { view, link: its query, rest: where its dials stood, told: what was turned, source: what is drawn from here, from: the image that the next drawing begins with, ... }
let held = null; // what was turned by the pointer that is down; null where none is: a dial is let go at once then
let hasTurned = false; // whether a dial was turned: for who only looks nothing is fetched
let trip = Infinity; // milliseconds to the server and back, as far as it is known
let failures = 0;
let isFollowing = false; // on the way to be ready
let fetching = ""; // words of how far that has come
let later = 0; // the timer of the next try
let isDrawing = false;
let drawing = new AbortController(); // ends what is asked for the view on screen
let filmed = null; // the view of the film on screen
let filming = new AbortController(); // ends what is asked for it

const there = () => trip + turn.view.milliseconds; // what a picture takes there
const isSooner = ({ generator: { each }, stand: { count } }) => recall(CHOICE) === "yes" || (recall(CHOICE) === "" && each > 0 && each * count < there());

async function ask(address, body = null, signal = null) {
  const response = await fetch(new URL(address, base), body === null ? {} : { method: "POST", body, signal });
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
  button.hidden = false;
  if (of.hasFailed || !(await isWorthwhile(there()))) return;
  const told = await standOf(of.view).catch(() => null); // a server that is busy, or out of reach, says nothing of this device
  if (!(await isWorthwhile(there()))) return; // as is known now
  const generator = told && (await open(of.link.get("checkpoint"), told.sha256));
  if (turn !== of) return;
  if (!generator) {
    clearTimeout(later);
    later = setTimeout(() => turn === of && follow(of), AGAIN);
    return;
  }
  of.source = { stand: preview.readStand(told), generator };
  if (!generator.each) await measure(of);
}

async function standOf(view) {
  const began = performance.now();
  const told = await ask("stand", view.query);
  trip = Math.min(trip, performance.now() - began); // longer ones waited for what hangs on the picture, or for a server that woke up
  return told;
}

// The server draws these images, as it did. The next ones are tried anew, but not for ever.
function giveUp(of) {
  if (of.source?.generator === opened) stop();
  of.source = null;
  if (turn !== of || recall(CHOICE) === "no") return; // it was stopped, or made room for another generator
  failures++;
  of.hasFailed = true;
  showChoice();
}

// What draws here is not wanted any more, fetched or on its way.
function stop() {
  opened = null;
  preview?.close();
}

// Where the server takes so many milliseconds: as the visitor has chosen; else once a dial was turned, if it is worth what is fetched.
async function isWorthwhile(milliseconds) {
  if (recall(CHOICE) === "no") return false;
  if (recall(CHOICE) === "" && (!hasTurned || isMetered(navigator.connection, window.matchMedia("(pointer: coarse)").matches))) return false;
  await fetchScripts();
  return recall(CHOICE) === "yes" || isSlow(milliseconds, await preview.hasGpu());
}

async function fetchScripts() {
  preview ||= await import(new URL("studio/static/preview.js", base).href);
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
    return served && Object.assign(generator, await preview.openGenerator(served, base, tellProgress));
  } finally {
    fetching = "";
    if (!generator.renderer && opened === generator) opened = null;
  }
}

function tellProgress(arrived, all) {
  const [some, whole] = [arrived, all].map((bytes) => Math.round(bytes / 1e6));
  fetching = arrived < all ? `: fetching ${some} of ${whole} MB …` : GETTING_READY;
  showChoice();
}

function restingOf(view) {
  const link = new URLSearchParams(view.query);
  const gains = (link.get("residual_gains") || "").split(",").filter(Boolean).map(Number);
  const rest = { truncation: Number(link.get("truncation") ?? 1), gains, directions: pairsOf(link.get("directions") || "") };
  return { view, link, rest, told: {}, source: null, from: 0, isWanted: false, isRefused: false, hasFailed: failures >= TRIES };
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
  if (!isHere({ ...turn, told }) && (!held || turn.isRefused)) return false;
  turn.told = together(turn.told, told);
  turn.isWanted = true;
  draw(turn);
  return true;
}

const together = (one, other) => ({ ...one, ...other, ...(other.directions && { directions: { ...one.directions, ...other.directions } }) });

async function draw(of) {
  if (isDrawing) return;
  isDrawing = true;
  of.isWanted = false;
  if (isHere(of)) await drawHere(of).catch(() => leaveToServer(of));
  else await drawThere(of).catch(() => (of.isRefused = true));
  isDrawing = false;
  if (turn.isWanted) draw(turn); // what was turned last is drawn last
}

function leaveToServer(of) {
  giveUp(of);
  of.isWanted = true;
}

const tell = (detail) => window.dispatchEvent(new CustomEvent("resgen-drawn", { detail: { parts: [], status: "", ...detail } }));

async function drawThere(of) {
  const { view, told: turned } = of;
  const { plane } = turned;
  const drawn = await ask("picture", JSON.stringify({ query: view.query, turned }), drawing.signal);
  const picture = await pictureOf(drawn);
  if (turn === of) tell({ view, picture, plane, status: drawn.status });
}

async function drawHere(of) {
  const { stand, generator } = of.source;
  const hung = setTimeout(stop, HUNG + 10 * generator.each * stand.count);
  await drawPieces(of).finally(() => clearTimeout(hung));
}

async function drawPieces(of) {
  const { view, source, told: { plane } } = of;
  const began = performance.now();
  const drawn = [];
  for await (const { first, pixels } of pieces(of)) {
    if (turn !== of) return;
    const part = { first, images: preview.imagesOf(pixels, source.generator.checkpoint.resolution) };
    drawn.push(part);
    of.from = (first + part.images.length) % source.stand.count;
    if (plane) continue;
    tell({ view, parts: [part] });
    if (of.isWanted) return;
  }
  tell({ view, parts: plane ? drawn : [], plane, status: words(source, performance.now() - began) });
  of.from = 0;
}

function words({ stand, generator }, milliseconds) {
  generator.each = milliseconds / stand.count;
  return `${stand.count} image${stand.count > 1 ? "s" : ""} in ${preview.inWords(milliseconds)} ${preview.PLACES[generator.backend]}`;
}

// All frames of a film, where they are drawn sooner than it plays.
async function film(view) {
  if (!isForFilms()) return;
  const told = await ask("film", view.query, filming.signal);
  if (told.count <= view.frames || !isForFilms(told.sha256)) return;
  await fetchScripts();
  const generator = await open(told.checkpoint, told.sha256);
  if (filmed !== view) return;
  if (generator) await drawFilm(view, told, generator).catch(() => opened === generator && stop()); // it draws nothing any more: the next film loads it anew
  else setTimeout(() => filmed === view && beginFilm(view), AGAIN);
}

// For a film alone no generator is fetched unasked.
const isForFilms = (sha256 = opened?.sha256) => recall(CHOICE) === "yes" || (opened !== null && opened.sha256 === sha256);

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

// What cannot be drawn here stays as the server drew it; while stops are dragged about, so does each film.
function beginFilm(view) {
  filmed = view;
  filming.abort();
  filming = new AbortController();
  setTimeout(() => filmed === view && film(view).catch(() => {}), REST);
}

// What the visitor has chosen, else what was measured.
function isOn() {
  if (turn?.hasFailed) return false;
  return recall(CHOICE) ? recall(CHOICE) === "yes" : Boolean(turn?.source && isSooner(turn.source));
}

function showChoice() {
  const isBusy = isFollowing || (isOn() && !turn?.source); // also until the next try
  button.setAttribute("aria-checked", String(isOn()));
  button.setAttribute("aria-busy", String(isBusy));
  button.title = turn?.hasFailed ? FAILED : WORDS;
  button.dataset.news = fetching || (isBusy && isOn() ? GETTING_READY : "");
}

button.addEventListener("click", () => {
  keep(CHOICE, isOn() ? "no" : "yes");
  if (recall(CHOICE) === "no") stop();
  failures = 0;
  turn.hasFailed = false;
  showChoice();
  if (!isFollowing) follow(turn);
});
window.addEventListener("resgen-came", (event) => {
  drawing.abort();
  drawing = new AbortController();
  turn = restingOf(event.detail);
  if (held && Object.keys(held).length && take(held)) event.preventDefault(); // it was asked for before the hand turned this
});
window.addEventListener("resgen-rests", () => turn && follow(turn));
window.addEventListener("resgen-film", ({ detail }) => beginFilm(detail));
window.addEventListener("resgen-turning", (event) => {
  hasTurned = true;
  if (held) held = together(held, event.detail);
  if (take(event.detail)) event.preventDefault();
});
window.addEventListener("pointerdown", ({ button: pressed }) => (held = pressed ? null : {}), true);
for (const end of ["pointerup", "pointercancel"]) window.addEventListener(end, () => (held = null), true);
when("#grid .rg-status-line", (line) => line.append(button));
