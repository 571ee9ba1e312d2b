// The grid of images: one canvas painted from a sprite, one button over each image, and a close-up of the chosen one.
// `element`, `trigger`, `props` and `watch` are given by the HTML component.
const stage = element.querySelector(".rg-stage");
const canvas = element.querySelector(".rg-canvas");
const tiles = element.querySelector(".rg-tiles");
const rowLabels = element.querySelector(".rg-rows");
const closeUp = element.querySelector(".rg-close-up");
const largeCanvas = closeUp.querySelector("canvas");
const caption = closeUp.querySelector("figcaption");
const status = element.querySelector(".rg-status");
const sprite = new Image();
let view = null;
let chosen = -1;

function words(index) {
  const seed = view.kind === "variation" ? `variation ${view.seeds[index]}` : `seed ${view.seeds[index]}`;
  return view.labels[index] ? `${view.labels[index]}, ${seed}` : seed;
}

function paintTile(context, index, x, y, size) {
  const r = view.resolution;
  context.drawImage(sprite, (index % view.columns) * r, Math.floor(index / view.columns) * r, r, r, x, y, size, size);
}

function paint() {
  const gap = 2;
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const size = Math.round(view.tile * ratio);
  const step = size + Math.round(gap * ratio);
  canvas.width = view.columns * step;
  canvas.height = view.rows * step;
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  view.seeds.forEach((_, index) => paintTile(context, index, (index % view.columns) * step, Math.floor(index / view.columns) * step, size));
  stage.style.maxWidth = `${view.columns * (view.tile + gap)}px`;
  canvas.dataset.painted = view.query;
  if (chosen >= 0) paintCloseUp();
}

function paintCloseUp() {
  largeCanvas.width = largeCanvas.height = 448;
  const context = largeCanvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  paintTile(context, chosen, 0, 0, 448);
  caption.textContent = words(chosen);
}

function layTiles() {
  tiles.style.gridTemplateColumns = `repeat(${view.columns}, 1fr)`;
  tiles.style.gridTemplateRows = `repeat(${view.rows}, 1fr)`;
  while (tiles.children.length > view.seeds.length) tiles.lastChild.remove();
  while (tiles.children.length < view.seeds.length) {
    const button = document.createElement("button");
    button.type = "button";
    tiles.append(button);
  }
  [...tiles.children].forEach((button, index) => {
    button.setAttribute("aria-label", words(index));
    button.title = words(index);
    button.setAttribute("aria-pressed", String(index === chosen));
    button.tabIndex = index === Math.max(chosen, 0) ? 0 : -1;
  });
  rowLabels.replaceChildren(...view.rowLabels.map((label) => Object.assign(document.createElement("span"), { textContent: label })));
  rowLabels.hidden = !view.rowLabels.length;
}

function choose(index) {
  chosen = index;
  closeUp.hidden = index < 0;
  layTiles();
  if (index >= 0) paintCloseUp();
}

async function show() {
  const next = props.value;
  if (!next || !next.src) return;
  sprite.src = next.src;
  await sprite.decode();
  if (next !== props.value && props.value.src !== next.src) return; // a newer view is on its way
  view = next;
  if (chosen >= view.seeds.length) choose(-1);
  element.querySelector(".rg-loading").hidden = true;
  stage.hidden = false;
  layTiles();
  paint();
  const images = view.seeds.length;
  status.textContent = `${images} image${images === 1 ? "" : "s"} in ${view.milliseconds} ms on ${view.device}`;
  shareAddress();
}

// The address always restores what is on screen; inside a Hugging Face Space the page around it is told.
function shareAddress() {
  const search = `?${view.query}`;
  if (window.location.search !== search) window.history.replaceState(null, "", search);
  if (window.parent !== window) window.parent.postMessage({ queryString: view.query, hash: "" }, "https://huggingface.co");
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
  if (from < 0 || to === from || to < 0 || to >= view.seeds.length) return;
  event.preventDefault();
  choose(to);
  tiles.children[to].focus();
});

closeUp.addEventListener("click", (event) => {
  const action = event.target.closest("button")?.dataset.action;
  if (action === "close") choose(-1);
  else if (action && chosen >= 0) {
    trigger("select", { action, seed: view.seeds[chosen], label: view.labels[chosen] });
    choose(-1);
  }
});

watch("value", show);
show();
