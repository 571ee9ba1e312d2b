// All generators side by side: the value is a list of { name, view, facts }; view is null where one cannot be drawn with.
const shelf = element.querySelector(".rg-shelf");
let newest = 0; // number of the shelf that is being laid, or is on screen

async function card({ name, view, facts }) {
  const made = Object.assign(document.createElement("section"), { className: "rg-shelved" });
  const shown = view && (await samples(name, view).catch(() => null)); // a picture that cannot be shown takes no other with it
  if (shown) made.append(shown);
  const list = document.createElement("ul");
  list.append(...facts.map((fact) => Object.assign(document.createElement("li"), { textContent: fact })));
  made.append(Object.assign(document.createElement("h3"), { textContent: name }), list);
  return made;
}

async function samples(name, view) {
  const picture = await pictureOf(view);
  const side = 72;
  const canvas = Object.assign(document.createElement("canvas"), { width: view.columns * side * 2, height: view.rows * side * 2 });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Samples of ${name}`);
  const context = canvas.getContext("2d");
  view.captions.forEach((_, index) =>
    paintImage(context, picture, view, index, (index % view.columns) * side * 2, Math.floor(index / view.columns) * side * 2, side * 2),
  );
  return canvas;
}

async function show() {
  if (!Array.isArray(props.value)) return;
  const number = ++newest;
  const cards = await Promise.all(props.value.map(card));
  if (number === newest) shelf.replaceChildren(...cards);
}

watch("value", show);
show();
