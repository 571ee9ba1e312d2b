// A number as a dial with its name and what it means; the value is the number.
const root = element.querySelector(".rg-slider");
const settings = root.dataset;
const [low, high, step, rest] = ["low", "high", "step", "rest"].map((name) => Number(settings[name]));

function change(value) {
  props.value = value;
  if (!isFollowed({ [settings.field]: value })) trigger("input");
}

const name = element.querySelector(".rg-heading").textContent;
const dial = makeDial({ id: `dial-${settings.field}`, name, low, high, step, changed: change, left: () => trigger("release") });
dial.range.dataset.rest = rest;
root.append(dial.root);

function show() {
  if (!dial.held) dial.show(props.value ?? rest);
}

watch("value", show);
show();
