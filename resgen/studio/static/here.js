// While a dial is turned, the page draws what is on screen itself where that is measured to be sooner than asking the server; once the hand
// lets go, the server's picture takes its place. preview.js does it, which is fetched when it is wanted.
// The seed plane is wandered in the same way: its window is drawn whole, so that neighbours stay neighbours.
// "resgen-rests" brings the view on screen; "resgen-turning" what a dial is turned to, taken where it is drawn here; "resgen-drawn" gives the
// grid its images.
const CHOICE = "resgen-draw-here"; // "yes" or "no" of the visitor; else it is measured
const SLOW = 600; // milliseconds of the server from which what draws on a processor is worth fetching: it takes as long
const AGAIN = 5000; // milliseconds until a generator that is being prepared is asked for again
const base = new URL("drawing/", document.baseURI).href;
const settings = element.querySelector(".rg-plane-size").dataset;
const button = element.querySelector(".rg-here");
let preview = null; // the module
let opening = { sha256: "", opened: null }; // the generator that draws here, a promise
let shown = null; // the view on screen
let ready = null; // what is drawn from, of the view on screen
let trip = 0; // milliseconds to the server and back
let each = 0; // milliseconds that an image takes here
let isFollowing = false; // on the way to be ready
let isDrawing = false;
let from = 0; // the image that the next drawing begins with, so that under a moving hand all have their turn

const there = () => trip + shown.milliseconds; // what a picture takes there
const isSooner = () => recall(CHOICE) === "yes" || (recall(CHOICE) === "" && each > 0 && each * shown.captions.length < there());

async function ask(address, body = null) {
  const response = await fetch(new URL(address, base), body === null ? {} : { method: "POST", body });
  if (response.status === 202) return null;
  if (!response.ok) throw new Error(`${address} is answered with ${response.status}`);
  return response.json();
}

// A view came to rest: be ready for the hand.
async function follow(view) {
  shown = view;
  ready = null;
  isFollowing = true;
  await prepare(view).catch(() => shown === view && giveUp());
  if (shown === view) isFollowing = false;
  showChoice();
}

async function prepare(view) {
  const began = performance.now();
  let told = trip ? null : await ask("stand", view.query);
  trip ||= performance.now() - began;
  button.hidden = false;
  if (!(await isWorthwhile())) return;
  told ||= await ask("stand", view.query);
  const generator = await open(new URLSearchParams(view.query).get("checkpoint"), told.sha256);
  if (!generator || shown !== view) return;
  ready = restingOf(view, preview.readStand(told), generator);
  if (!each) await measure(ready);
}

// The server draws from now on, as it did; what cannot be drawn here cannot be chosen either.
function giveUp() {
  ready = null;
  button.hidden = true;
}

async function isWorthwhile() {
  if (recall(CHOICE) === "no") return false;
  preview ||= await import(new URL("studio/static/preview.js", base).href);
  if (recall(CHOICE) === "yes") return true;
  return !navigator.connection?.saveData && (there() > SLOW || preview.hasGpu());
}

// Once, however often it is asked for while it is loaded.
function open(name, sha256) {
  if (opening.sha256 !== sha256) opening = { sha256, opened: load(name) };
  return opening.opened;
}

async function load(name) {
  each = 0;
  const served = await ask(`generators/${encodeURIComponent(name)}`);
  if (served) return preview.openGenerator(served, base);
  setTimeout(() => {
    opening = { sha256: "", opened: null };
    if (shown) follow(shown);
  }, AGAIN);
  return null;
}

function restingOf(view, stand, generator) {
  const link = new URLSearchParams(view.query);
  const gains = (link.get("residual_gains") || "").split(",").filter(Boolean).map(Number);
  const dials = { truncation: Number(link.get("truncation") ?? 1), gains, amounts: {}, plane: null };
  return { view, stand, generator, link, before: null, dials, isWanted: false };
}

// Whether another window of the seed plane is this view but for its points.
function canWander({ view, link, generator: { checkpoint } }) {
  const isPlain = !["latents", "variation_of", "edits", "sweep", "class_mix"].some((name) => link.has(name));
  const className = link.get("classes") || "";
  return isPlain && checkpoint.mapped && view.captions.length === view.columns * view.rows && (!className || checkpoint.classes.includes(className));
}

function pointsOf({ view: { columns, rows }, link, generator: { checkpoint } }, plane) {
  return preview.pointsOf({ plane, columns, rows, width: Number(settings.width), height: Number(settings.height) }, link.get("classes") || "", checkpoint);
}

// The second drawing counts: the first prepares what all others use.
async function measure(of) {
  for (let times = 0; times < 2; times++) {
    const began = performance.now();
    await drawUnseen(pieces(of)); // oxlint-disable-line no-await-in-loop -- one after the other
    each = (performance.now() - began) / of.stand.count;
  }
}

async function drawUnseen(parts) {
  while (!(await parts.next()).done); // oxlint-disable-line no-await-in-loop -- one after the other
}

async function* pieces(of) {
  const { stand, generator, dials, before } = of;
  const names = new Set([...Object.keys(dials.amounts), ...Object.keys(before || {})]);
  const turned = new Map([...names].map((name) => [name, (dials.amounts[name] || 0) - (before?.[name] || 0)]));
  const w = dials.plane
    ? await preview.wandered(generator, pointsOf(of, dials.plane), stand, dials.truncation, turned)
    : preview.moved(stand, dials.truncation, turned, generator.checkpoint);
  yield* generator.renderer.synthesise(w, dials.gains, generator.checkpoint, dials.plane ? 0 : from);
}

const movesOne = () => document.querySelector("#scope input:checked")?.value === "The chosen image";

// A dial is turned: { truncation }, { gains }, { amounts, before } of all directions, or { plane }, a window of the seed plane. False where the server has to draw it.
function take({ before, ...turned }) {
  if (!ready || ready.view !== shown || !isSooner()) return false;
  if (turned.amounts && (ready.link.has("sweep") || movesOne())) return false;
  if (turned.plane && !canWander(ready)) return false;
  ready.before ||= before || null;
  ready.dials = { ...ready.dials, ...turned };
  ready.isWanted = true;
  draw(ready);
  return true;
}

async function draw(of) {
  if (isDrawing) return;
  isDrawing = true;
  await drawOnce(of).catch(giveUp);
  isDrawing = false;
  if (ready?.isWanted) draw(ready); // what was turned last is drawn last
}

async function drawOnce(of) {
  of.isWanted = false;
  const { plane } = of.dials;
  const began = performance.now();
  const tell = (parts, status) => window.dispatchEvent(new CustomEvent("resgen-drawn", { detail: { view: of.view, parts, plane, status } }));
  const held = [];
  for await (const { first, pixels } of pieces(of)) {
    if (ready !== of) return;
    const part = { first, images: preview.imagesOf(pixels, of.generator.checkpoint.resolution) };
    held.push(part);
    from = (first + part.images.length) % of.stand.count;
    if (plane) continue;
    tell([part], "");
    if (of.isWanted) return;
  }
  tell(plane ? held : [], words(of, performance.now() - began));
  from = 0;
}

function words({ stand, generator }, milliseconds) {
  each = milliseconds / stand.count;
  return `${stand.count} image${stand.count > 1 ? "s" : ""} in ${Math.round(milliseconds)} ms ${preview.PLACES[generator.backend]}`;
}

function showChoice() {
  button.setAttribute("aria-checked", String(Boolean(ready) && isSooner()));
  button.setAttribute("aria-busy", String(isFollowing));
}

button.addEventListener("click", () => {
  keep(CHOICE, button.getAttribute("aria-checked") === "true" ? "no" : "yes");
  showChoice();
  follow(shown);
});
window.addEventListener("resgen-rests", ({ detail }) => follow(detail));
window.addEventListener("resgen-turning", (event) => take(event.detail) && event.preventDefault());
when("#grid .rg-status-line", (line) => line.append(button));
