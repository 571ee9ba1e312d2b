// A dial for each direction, between pictures of its two ends. The value: { names, own, amounts: { name: amount } of all images, edits: { place: amounts }
// of single ones, place of the one that the dials move or -1, sweep }.
// `input` comes while a dial moves, `release` when it is let go, `select` tells { action: "strip" or "remove", name }.
// The event "resgen-ends" brings the pictures: { view, names }, two of the view's images for each name.
const settings = element.querySelector(".rg-directions").dataset;
const [low, high, step, first, shownEnd] = ["low", "high", "step", "first", "ends"].map((name) => Number(settings[name]));
const list = element.querySelector(".rg-list");
const zero = element.querySelector(".rg-zero");
const more = element.querySelector(".rg-more");
const [all, one] = element.querySelectorAll(".rg-scope input");
const hint = element.querySelector(".rg-scope-hint");
let dials = new Map(); // of each name
let laid = ""; // the names that there are dials for
let isUnfolded = false; // whether all are shown
let ends = null;

const state = () => ({ names: [], own: [], amounts: {}, edits: {}, place: -1, sweep: "", ...props.value });
const amountsOf = ({ amounts, edits, place }) => (place < 0 ? amounts : edits[place] || {});

function set(amounts) {
  const { edits, place } = state();
  props.value = { ...state(), ...(place < 0 ? { amounts } : { edits: { ...edits, [place]: amounts } }) };
}

function change(name, amount) {
  const amounts = { ...amountsOf(state()) };
  if (amount) amounts[name] = amount;
  else delete amounts[name];
  set(amounts);
  showZero();
  if (state().place >= 0 || !isFollowed({ directions: { [name]: amount } })) trigger("input");
}

// The dials move all images, or the one that is chosen in the grid, or was last: they stay with it when it is chosen no more, and on a phone only then
// there is room for them.
function follow(isOne) {
  const { place: now = -1, last = -1 } = document.querySelector("#grid .rg-view").dataset;
  const placeOfOne = [now, state().place, last].map(Number).find((at) => at >= 0) ?? -1;
  const place = isOne ? placeOfOne : -1;
  hint.hidden = !isOne || place >= 0;
  if (place !== state().place) props.value = { ...state(), place };
  show();
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
    tellTurned();
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
  dial.strip = button("Strip", `Strip: show each image along ${name}`, () => trigger("select", { action: "strip", name: state().sweep === name ? "" : name }));
  dial.low = end(dial, name, -shownEnd);
  dial.high = end(dial, name, shownEnd);
  const head = Object.assign(document.createElement("div"), { className: "rg-dial-head" });
  head.append(words, dial.strip);
  if (own) head.append(button("×", `Delete the direction ${name}`, () => trigger("select", { action: "remove", name })));
  head.append(dial.number);
  dial.root.append(dial.low, head, dial.range, dial.high);
  return dial;
}

function layAll() {
  const { names, own } = state();
  const places = own.map((name, place) => [name, place, true]);
  names.forEach((name, place) => own.includes(name) || places.push([name, place, false])); // a link's own direction hides one of that name
  dials = new Map(places.map(([name, place, mine]) => [name, lay(name, place, mine)]));
  const hadFocus = list.contains(document.activeElement);
  list.replaceChildren(...[...dials.values()].map((dial) => dial.root));
  if (hadFocus) focusFirst();
  more.hidden = dials.size <= first;
  paintEnds();
}

// What had the keyboard's focus is gone, or can't have it any more.
function focusFirst() {
  list.querySelector("input[type=range]")?.focus();
}

function show() {
  const { names, own, place: moved, sweep } = state();
  const amounts = amountsOf(state());
  all.checked = moved < 0;
  one.checked = moved >= 0;
  const key = JSON.stringify([names, own]);
  if (key !== laid) {
    laid = key;
    layAll();
  }
  [...dials].forEach(([name, dial], place) => {
    if (!dial.held) dial.show(amounts[name] || 0);
    dial.strip.setAttribute("aria-pressed", String(sweep === name));
    dial.root.hidden = !isUnfolded && place >= first && !amounts[name] && sweep !== name;
  });
  more.textContent = isUnfolded ? "Show fewer" : `Show all ${dials.size}`;
  more.setAttribute("aria-expanded", String(isUnfolded));
  showZero();
}

function showZero() {
  zero.disabled = !Object.values(amountsOf(state())).some(Boolean);
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
  isUnfolded = !isUnfolded;
  show();
});
zero.addEventListener("click", () => {
  set({});
  show();
  focusFirst();
  trigger("input");
  trigger("release");
});
all.addEventListener("change", () => follow(false));
one.addEventListener("change", () => follow(true));
window.addEventListener("resgen-chosen", () => state().place >= 0 ? follow(true) : (hint.hidden = true));
window.addEventListener("resgen-ends", (event) => takeEnds(event.detail));
watch("value", show);
show();
