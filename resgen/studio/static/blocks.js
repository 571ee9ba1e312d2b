// The strip of residual blocks: of each one the image so far and what the block adds, an on/off and a dial of how much.
// The value: { names, gains, dials }; without `dials` there is nothing to turn, only to see. `input` comes while a dial moves, `release` when it is let go.
// The event "resgen-anatomy" brings the pictures as a view with a row of the image so far, one of what each block adds, one of features.
const settings = element.querySelector(".rg-blocks").dataset;
const [low, high, step] = ["low", "high", "step"].map((name) => Number(settings[name]));
const list = element.querySelector(".rg-blocks-list");
const ROWS = ["The image so far", "What it changes", "Its features"];
const SIDE = 96; // pixels a side of a picture
let laid = "";
let blocks = [];
let anatomy = null;
let looked = null; // () => what is looked at large

const state = () => ({ names: [], gains: [], dials: true, ...props.value });

function change(place, gain) {
  const gains = state().names.map((_, other) => (other === place ? gain : state().gains[other] ?? 1));
  props.value = { ...state(), gains };
  blocks[place].showSwitch(gain);
  if (!isFollowed({ gains })) trigger("input");
}

function lay(name, place) {
  const root = Object.assign(document.createElement("div"), { className: "rg-block" });
  const dial = makeDial({ id: `block-${place + 1}`, name, low, high, step, changed: (gain) => change(place, gain), left: () => trigger("release") });
  dial.range.dataset.rest = 1;
  const pictures = ROWS.map((row) => {
    const canvas = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
    const look = Object.assign(document.createElement("button"), { type: "button", className: "rg-look", title: `${row}: ${name}; point at it to see it large` });
    look.setAttribute("aria-label", `${row}: ${name}`);
    look.append(canvas);
    return look;
  });
  const toggle = Object.assign(document.createElement("button"), { type: "button", className: "rg-switch", textContent: name });
  toggle.setAttribute("role", "switch");
  let before = 1; // what switching on goes back to
  toggle.addEventListener("click", () => {
    if (dial.value) before = dial.value;
    const gain = dial.value ? 0 : before;
    dial.show(gain);
    change(place, gain);
    tellTurned();
    trigger("release");
  });
  const showSwitch = (gain) => {
    toggle.setAttribute("aria-checked", String(gain > 0));
    toggle.title = gain > 0 ? `Switch ${name} off` : `Switch ${name} on`;
    root.classList.toggle("rg-off", gain === 0);
  };
  pictures.forEach((look, row) => connectLook(look, row, place, name));
  toggle.disabled = !state().dials;
  dial.root.hidden = !state().dials;
  root.append(toggle, ...pictures, dial.root);
  return { root, dial, pictures, showSwitch };
}

// While a picture is pointed at, or has the focus, it is shown large; a finger that taps one points at nothing afterwards.
function connectLook(look, row, place, name) {
  const start = () => {
    looked = () => ({ ...anatomy, index: indexOf(row, place), caption: `${ROWS[row]}: ${name}` });
    if (anatomy) tell("resgen-look", looked());
  };
  for (const begin of ["focus", "click"]) look.addEventListener(begin, start);
  look.addEventListener("blur", lookAway);
  look.addEventListener("pointerenter", (event) => event.pointerType !== "touch" && start());
  look.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && lookAway());
}

function lookAway() {
  looked = null;
  tell("resgen-look", null);
}

const tell = (event, detail) => window.dispatchEvent(new CustomEvent(event, { detail }));

function show() {
  const { names, gains, dials } = state();
  if (JSON.stringify([names, dials]) !== laid) {
    laid = JSON.stringify([names, dials]);
    if (looked) lookAway(); // it goes
    blocks = names.map(lay);
    list.replaceChildren(...blocks.map((block) => block.root));
    list.style.setProperty("--count", names.length);
    paintAnatomy();
  }
  blocks.forEach((block, place) => {
    const gain = gains[place] ?? 1;
    if (!block.dial.held) block.dial.show(gain);
    block.showSwitch(gain);
  });
}

async function takeAnatomy(view) {
  const picture = await decode(view);
  if (!picture) return;
  anatomy = { view, picture };
  paintAnatomy();
  if (looked) tell("resgen-look-again", looked());
  element.querySelector(".rg-blocks").dataset.painted = view.query;
}

// A picture's place in the view; below 0 where it has none: of what cannot be dialled there are features alone, the last of the rows.
const indexOf = (row, place) => (anatomy.view.rows - ROWS.length + row) * anatomy.view.columns + place;

function paintAnatomy() {
  if (!anatomy || anatomy.view.columns !== blocks.length) return;
  blocks.forEach((block, place) => {
    block.pictures.forEach((look, row) => {
      const index = indexOf(row, place);
      look.hidden = index < 0;
      if (index >= 0) paintImage(look.querySelector("canvas").getContext("2d"), anatomy.picture, anatomy.view, index, 0, 0, SIDE);
    });
  });
}

window.addEventListener("resgen-anatomy", (event) => takeAnatomy(event.detail));
watch("value", show);
show();
