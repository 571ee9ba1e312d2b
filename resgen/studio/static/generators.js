// A generator is chosen by its picture. The value is its name; `input` when a hand chose one.
// The event "resgen-samples" brings the pictures: [[name, data URI], ...], also of generators that have come since the page was made.
const names = JSON.parse(element.querySelector(".rg-generators").dataset.names);
const list = element.querySelector(".rg-generators-list");

function lay(name) {
  const made = Object.assign(document.createElement("button"), { type: "button", className: "rg-generator", title: name });
  made.setAttribute("role", "radio");
  made.append(document.createElement("img"), Object.assign(document.createElement("span"), { textContent: name }));
  made.firstChild.alt = "";
  made.addEventListener("click", () => choose(name));
  return made;
}

function choose(name) {
  if (props.value === name) return;
  props.value = name;
  show();
  trigger("input");
}

const buttons = new Map(names.map((name) => [name, lay(name)]));

function show() {
  for (const [name, button] of buttons) {
    const chosen = name === props.value;
    button.setAttribute("aria-checked", String(chosen));
    button.tabIndex = chosen || (!buttons.has(props.value) && name === names[0]) ? 0 : -1;
  }
}

list.addEventListener("keydown", (event) => {
  const moves = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };
  if (!(event.key in moves) || !isCommand(event)) return;
  event.preventDefault();
  const next = names[(names.indexOf(document.activeElement.title) + moves[event.key] + names.length) % names.length];
  buttons.get(next).focus();
  choose(next);
});
function add(name) {
  names.push(name);
  buttons.set(name, lay(name));
  list.append(buttons.get(name));
}

window.addEventListener("resgen-samples", ({ detail }) => {
  for (const [name, source] of detail) {
    if (!buttons.has(name)) add(name);
    buttons.get(name).firstChild.setAttribute("src", source);
  }
  show();
});
list.replaceChildren(...buttons.values());
watch("value", show);
show();
