// What directions.js, blocks.js, slider.js and plane.js begin with: a dial is a slider and a number that say the same.
function makeDial({ id, name, low, high, step, changed, left }) {
  const root = Object.assign(document.createElement("div"), { className: "rg-dial", id });
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", name);
  const range = Object.assign(document.createElement("input"), { type: "range", min: low, max: high, step });
  range.setAttribute("aria-label", name);
  const number = Object.assign(document.createElement("input"), { type: "number", min: low, max: high, step });
  number.setAttribute("aria-label", `${name}, as a number`);
  const dial = { root, range, number, value: 0, held: false };

  dial.show = (value) => {
    dial.value = value;
    range.value = number.value = value;
    range.style.setProperty("--from", share(Math.min(Math.max(0, low), value), low, high));
    range.style.setProperty("--to", share(Math.max(Math.max(0, low), value), low, high));
  };
  const turn = (text) => {
    const value = within(Number(text), low, high, step);
    if (text === "" || Number.isNaN(value)) {
      dial.show(dial.value);
      return;
    }
    dial.show(value);
    changed(value);
    tellTurned();
  };
  let isTurned = false; // since it was left last
  const leave = () => {
    if (isTurned) left();
    isTurned = false;
  };
  range.addEventListener("input", () => {
    isTurned = true;
    turn(range.value);
  });
  range.addEventListener("change", leave);
  range.addEventListener("pointerdown", (event) => (dial.held = !event.button));
  for (const end of ["pointerup", "pointercancel"]) {
    range.addEventListener(end, () => {
      dial.held = false;
      setTimeout(leave); // of a dial that is back where it was taken no change is told
    });
  }
  const turnTo = (text) => {
    turn(text);
    left();
  };
  range.addEventListener("dblclick", () => turnTo(String(range.dataset.rest || 0)));
  number.addEventListener("change", () => turnTo(number.value));
  number.addEventListener("keydown", (event) => event.key === "Enter" && number.dispatchEvent(new Event("change")));
  root.append(range, number);
  return dial;
}

// A hand has turned something, by its dial or by what stands beside it.
const tellTurned = () => window.dispatchEvent(new CustomEvent("resgen-turned"));

// Whether what a dial is turned to is drawn beside Gradio's queue, as here.js says; else an event asks for it.
const isFollowed = (turned) => !window.dispatchEvent(new CustomEvent("resgen-turning", { detail: turned, cancelable: true }));

const share = (value, low, high) => `${(100 * (value - low)) / (high - low)}%`;

// The nearest step within reach of a dial.
function within(value, low, high, step) {
  return Number((Math.round(Math.min(high, Math.max(low, value)) / step) * step).toFixed(6));
}
