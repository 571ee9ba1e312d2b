// A dial for each direction, between pictures of its two ends. The value: { names, own, amounts: { name: amount }, sweep }.
// `input` comes while a dial moves, `release` when it is let go, `select` tells { action: "strip" or "remove", name }.
// The event "resgen-ends" brings the pictures: { view, names }, two of the view's images for each name.
const settings = element.querySelector(".rg-directions").dataset;
const [low, high, step, first] = ["low", "high", "step", "first"].map((name) => Number(settings[name]));
const list = element.querySelector(".rg-list");
const zero = element.querySelector(".rg-zero");
const more = element.querySelector(".rg-more");
let dials = new Map(); // of each name
let laid = ""; // the names that there are dials for
let all = false; // whether all are shown
let ends = null;

const state = () => ({ names: [], own: [], amounts: {}, sweep: "", ...props.value });

function change(name, amount) {
  const amounts = { ...state().amounts };
  if (amount) amounts[name] = amount;
  else delete amounts[name];
  props.value = { ...state(), amounts };
  showZero();
  if (!isFollowed({ directions: { [name]: amount } })) trigger("input");
}

function button(words, help, act) {
  const made = Object.assign(document.createElement("button"), { type: "button", textContent: words, title: help });
  made.setAttribute("aria-label", help);
  made.addEventListener("click", act);
  return made;
}

// A picture of one end, which takes the dial there.
function end(dial, name, amount) {
  const made = button("", `${name} ${amount > 0 ? "+" : "−"}${Math.abs(amount)}`, () => {
    dial.show(amount);
    change(name, amount);
    trigger("release");
  });
  made.className = "rg-end";
  made.append(Object.assign(document.createElement("canvas"), { width: 1, height: 1 }));
  return made;
}

function lay(name, place, own) {
  const id = own ? `own-${place + 1}` : `direction-${place + 1}`;
  const dial = makeDial({ id, name, low, high, step, changed: (amount) => change(name, amount), left: () => trigger("release") });
  const words = Object.assign(document.createElement("span"), { className: "rg-name", textContent: name, title: name });
  dial.strip = button("Strip", `Show each image along ${name}`, () => trigger("select", { action: "strip", name: state().sweep === name ? "" : name }));
  dial.low = end(dial, name, -3);
  dial.high = end(dial, name, 3);
  const head = Object.assign(document.createElement("div"), { className: "rg-dial-head" });
  head.append(words, dial.strip);
  if (own) head.append(button("×", `Delete the direction ${name}`, () => trigger("select", { action: "remove", name })));
  head.append(dial.number);
  dial.root.append(dial.low, head, dial.range, dial.high);
  return dial;
}

function layAll() {
  const { names, own } = state();
  const places = [...own.map((name, place) => [name, place, true]), ...names.map((name, place) => [name, place, false])];
  dials = new Map(places.map(([name, place, mine]) => [name, lay(name, place, mine)]));
  list.replaceChildren(...[...dials.values()].map((dial) => dial.root));
  more.hidden = dials.size <= first;
  paintEnds();
}

function show() {
  const { names, own, amounts, sweep } = state();
  const key = JSON.stringify([names, own]);
  if (key !== laid) {
    laid = key;
    layAll();
  }
  [...dials].forEach(([name, dial], place) => {
    if (!dial.held) dial.show(amounts[name] || 0);
    dial.strip.setAttribute("aria-pressed", String(sweep === name));
    dial.root.hidden = !all && place >= first && !amounts[name] && sweep !== name;
  });
  more.textContent = all ? "Show fewer" : `Show all ${dials.size}`;
  more.setAttribute("aria-expanded", String(all));
  showZero();
}

function showZero() {
  zero.disabled = !Object.values(state().amounts).some(Boolean);
}

async function takeEnds(detail) {
  const picture = await decode(detail.view);
  if (!picture) return;
  ends = { ...detail, picture };
  paintEnds();
}

function paintEnds() {
  if (!ends) return;
  ends.names.forEach((name, place) => {
    const dial = dials.get(name);
    if (!dial) return;
    [dial.low, dial.high].forEach((made, side) => {
      const canvas = made.querySelector("canvas");
      canvas.width = canvas.height = 88;
      paintImage(canvas.getContext("2d"), ends.picture, ends.view, 2 * place + side, 0, 0, 88);
    });
  });
}

more.addEventListener("click", () => {
  all = !all;
  show();
});
zero.addEventListener("click", () => {
  props.value = { ...state(), amounts: {} };
  show();
  trigger("input");
  trigger("release");
});
window.addEventListener("resgen-ends", (event) => takeEnds(event.detail));
watch("value", show);
show();
