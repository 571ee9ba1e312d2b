// A grid of images: one canvas painted from a sprite, one button over each image, and a close-up of the chosen one.
// The template's data: `actions`, [name, label, help] of each button under the close-up; `shares`, whether the address follows it.
const settings = element.querySelector(".rg-view").dataset;
const find = (selector) => element.querySelector(selector);
const stage = find(".rg-stage");
const canvas = find(".rg-canvas");
const tiles = find(".rg-tiles");
const closeUp = find(".rg-close-up");
const largeCanvas = closeUp.querySelector("canvas");
const caption = closeUp.querySelector("figcaption");
let sprite = new Image();
const marks = new Map(); // an image's key -> { kind: "more" or "less", query }
const LARGE = 448; // pixels a side of the close-up
let view = null;
let chosen = -1;

function paint() {
  const gap = 2;
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const size = Math.round(view.tile * ratio);
  const step = size + Math.round(gap * ratio);
  canvas.width = view.columns * step;
  canvas.height = view.rows * step;
  const context = canvas.getContext("2d");
  view.captions.forEach((words, index) => {
    if (words) paintImage(context, sprite, view, index, (index % view.columns) * step, Math.floor(index / view.columns) * step, size); // else an empty corner
  });
  stage.style.maxWidth = find(".rg-columns").style.maxWidth = `${view.columns * (view.tile + gap)}px`;
  canvas.dataset.painted = view.query;
  if (chosen >= 0) paintCloseUp();
}

function paintCloseUp() {
  largeCanvas.width = largeCanvas.height = LARGE;
  const context = largeCanvas.getContext("2d");
  paintImage(context, sprite, view, chosen, 0, 0, LARGE);
  caption.textContent = view.captions[chosen];
  closeUp.querySelectorAll("[data-action]").forEach((button) => {
    const { action } = button.dataset;
    button.disabled = action !== "close" && !view.tiles[chosen];
    if (action === "more" || action === "less") button.setAttribute("aria-pressed", String(marks.get(view.keys[chosen])?.kind === action));
  });
}

function thumbnail(index) {
  const small = Object.assign(document.createElement("canvas"), { width: view.resolution, height: view.resolution });
  paintImage(small.getContext("2d"), sprite, view, index, 0, 0, view.resolution);
  return small.toDataURL("image/png");
}

function layTiles() {
  tiles.style.gridTemplateColumns = `repeat(${view.columns}, 1fr)`;
  tiles.style.gridTemplateRows = `repeat(${view.rows}, 1fr)`;
  while (tiles.children.length > view.captions.length) tiles.lastChild.remove();
  while (tiles.children.length < view.captions.length) {
    const button = document.createElement("button");
    button.type = "button";
    tiles.append(button);
  }
  [...tiles.children].forEach((button, index) => {
    const kind = marks.get(view.keys[index])?.kind;
    const words = kind ? `${view.captions[index]}, marked ${kind}` : view.captions[index];
    button.setAttribute("aria-label", words || "empty");
    button.title = words;
    button.dataset.mark = kind || "";
    button.setAttribute("aria-pressed", String(index === chosen));
    button.tabIndex = index === Math.max(chosen, 0) ? 0 : -1;
  });
  label(find(".rg-rows"), view.rowLabels);
  label(find(".rg-columns"), view.columnLabels);
}

function label(place, words) {
  place.replaceChildren(...words.map((text) => Object.assign(document.createElement("span"), { textContent: text, title: text })));
  place.style.setProperty("--count", words.length);
  place.hidden = !words.length;
}

function layActions() {
  const buttons = [...(JSON.parse(settings.actions)), ["close", "Close", "Back to the grid"]].map(([action, text, help]) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: text, title: help });
    button.dataset.action = action;
    return button;
  });
  find(".rg-actions").replaceChildren(...buttons);
}

function choose(index) {
  chosen = index;
  closeUp.hidden = index < 0;
  layTiles();
  if (index >= 0) paintCloseUp();
  trigger("input", { index, tile: index < 0 ? "" : view.tiles[index] });
}

async function show() {
  const next = props.value;
  const picture = await decode(next);
  if (!picture) return;
  const before = chosen >= 0 ? view.tiles[chosen] : "";
  if (view && checkpointOf(next) !== checkpointOf(view)) clearMarks();
  sprite = picture;
  view = next;
  if (chosen >= view.captions.length) choose(-1);
  find(".rg-loading").hidden = true;
  stage.hidden = false;
  layTiles();
  paint();
  find(".rg-status").textContent = view.status;
  if (chosen >= 0 && view.tiles[chosen] !== before) trigger("input", { index: chosen, tile: view.tiles[chosen] }); // what hangs on it follows
  share();
}

function share() {
  if (settings.shares) say(view);
}

const checkpointOf = (shown) => new URLSearchParams(shown.query).get("checkpoint");

function pin() {
  if (chosen < 0 || !view.tiles[chosen]) return;
  const detail = { query: view.tiles[chosen], caption: view.captions[chosen], thumbnail: thumbnail(chosen) };
  window.dispatchEvent(new CustomEvent("resgen-pin", { detail }));
}

function mark(kind) {
  const key = view.keys[chosen];
  if (marks.get(key)?.kind === kind) marks.delete(key);
  else marks.set(key, { kind, query: view.tiles[chosen] });
  showMarks();
}

function clearMarks() {
  if (!marks.size) return;
  marks.clear();
  showMarks();
}

function showMarks() {
  layTiles();
  if (chosen >= 0) paintCloseUp();
  const marked = (wanted) => [...marks.values()].filter(({ kind }) => kind === wanted).map(({ query }) => query);
  trigger("like", { more: marked("more"), less: marked("less") });
}

tiles.addEventListener("click", (event) => {
  const index = [...tiles.children].indexOf(event.target.closest("button"));
  if (index >= 0) choose(index === chosen ? -1 : index);
});

tiles.addEventListener("keydown", (event) => {
  const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -view.columns, ArrowDown: view.columns };
  const from = [...tiles.children].indexOf(document.activeElement);
  const to = from + (moves[event.key] || 0);
  if (event.key === "Escape") choose(-1);
  if (from < 0 || to === from || to < 0 || to >= view.captions.length) return;
  event.preventDefault();
  choose(to);
  tiles.children[to].focus();
});

closeUp.addEventListener("click", (event) => {
  const action = event.target.closest("button")?.dataset.action;
  if (!action || chosen < 0) return;
  if (action === "close") choose(-1);
  else if (action === "pin") pin();
  else if (action === "more" || action === "less") mark(action);
  else {
    trigger("select", { action, tile: view.tiles[chosen] });
    if (action !== "save") choose(-1);
  }
});

closeUp.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  tiles.children[chosen]?.focus();
  choose(-1);
});

// Keys belong to a text field only while one is typed in: a slider is no text.
window.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input:not([type=range]):not([type=radio]):not([type=checkbox]), textarea, select, [contenteditable]");
  if (!element.offsetParent || !settings.shares || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "p") pin();
  if (event.key === "r") document.querySelector("#random")?.click();
});

window.addEventListener("resgen-clear-marks", clearMarks);
whenSeen(share);
layActions();
watch("value", show);
show();
