// Begins every script that draws views, or is asked to draw. `element`, `trigger`, `props` and `watch` come from the HTML component.
const PIECES = 30; // milliseconds in which all that is written at once is in the page
let latest = 0; // number of the picture that is being decoded, or is on screen
let asking = 0;

function drawIfAsked() {
  const mine = [...(window.resgenAsked ?? [])].find((name) => element.closest(`#${name}`));
  if (!mine) return;
  window.resgenAsked.delete(mine);
  clearTimeout(asking);
  asking = setTimeout(() => trigger("submit", {}), PIECES);
}

window.addEventListener("resgen-asked", drawIfAsked);
drawIfAsked();

async function pictureOf(view) {
  const picture = new Image();
  picture.src = view.src;
  await picture.decode();
  return picture;
}

// The picture of a view; null where there is none, or a later one came while it was decoded.
async function decode(view) {
  if (!view?.src) return null;
  const number = ++latest;
  const picture = await pictureOf(view);
  return number === latest ? picture : null;
}

// What is being decoded is not wanted any more.
function undecode() {
  latest++;
}

const single = document.createElement("canvas"); // one image of the sprite: enlarged alone, it takes nothing of its neighbours

// Draw image number `index` of a view's sprite.
function paintImage(context, sprite, view, index, x, y, size) {
  const r = view.resolution;
  single.width = single.height = r;
  single.getContext("2d").drawImage(sprite, (index % view.columns) * r, Math.floor(index / view.columns) * r, r, r, 0, 0, r, r);
  context.imageSmoothingQuality = "high";
  context.drawImage(single, x, y, size, size);
}

// Put an image, as the page drew it, into its place in a sprite that is a canvas.
function putImage(sprite, columns, image, index) {
  sprite.getContext("2d").putImageData(image, (index % columns) * image.width, Math.floor(index / columns) * image.height);
}

// What is on screen takes the page's address over, now and whenever its screen comes into view.
function say(view) {
  if (view?.query && element.offsetParent) window.dispatchEvent(new CustomEvent("resgen-shown", { detail: { query: view.query } }));
}

function whenSeen(act) {
  new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) act();
  }).observe(element);
}
