// What belongs to the whole page: light or dark, full screen, the sheet of keys, news that is told for a moment, and on a phone the group of controls
// that is shown.
const THEME = "resgen-theme";
const GROUPS = { seeds: "Seeds", class: "Class", change: "Change", blocks: "Blocks" };
const LETTERS = "resgen-letters"; // "off" where letters do nothing
const NEWS = 4000; // milliseconds that news is shown for
const letters = element.querySelector(".rg-letters");
const theme = element.querySelector(".rg-theme");
const keys = element.querySelector(".rg-keys");
const news = element.querySelector(".rg-news");
let passing = 0; // timer after which what is said is no news

function setTheme(name) {
  document.body.classList.toggle("dark", name === "dark");
  theme.textContent = name === "dark" ? "Light" : "Dark";
}

theme.addEventListener("click", () => {
  const name = document.body.classList.contains("dark") ? "light" : "dark";
  setTheme(name);
  keep(THEME, name);
});

function toggleFull() {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen?.();
}

window.addEventListener("keydown", (event) => {
  if (!isShortcut(event)) return;
  if (event.key.toLowerCase() === "f") toggleFull();
  if (event.key === "?") keys.showModal();
});
element.querySelector(".rg-full").addEventListener("click", toggleFull);
element.querySelector(".rg-help").addEventListener("click", () => keys.showModal());

function setLetters(isOn) {
  document.body.classList.toggle("rg-no-letters", !isOn);
  letters.checked = isOn;
}

letters.addEventListener("change", () => {
  setLetters(letters.checked);
  keep(LETTERS, letters.checked ? "" : "off");
});

window.addEventListener("resgen-news", ({ detail }) => {
  news.textContent = detail;
  clearTimeout(passing);
  passing = setTimeout(() => (news.textContent = ""), NEWS);
});

// The button "Before" counts while it is held, by a pointer or by a key.
function connectBefore(button) {
  const hold = (on) => window.dispatchEvent(new CustomEvent("resgen-hold", { detail: on }));
  for (const begin of ["pointerdown", "keydown"]) button.addEventListener(begin, (event) => (event.key ? [" ", "Enter"].includes(event.key) : true) && hold(true));
  for (const end of ["pointerup", "pointerleave", "pointercancel", "keyup", "blur"]) button.addEventListener(end, () => hold(false));
}

function showGroup(name) {
  document.querySelector("#workbench").dataset.group = name;
  for (const button of groups.children) button.setAttribute("aria-pressed", String(button.dataset.name === name));
}

const groups = Object.assign(document.createElement("div"), { className: "rg-groups" });
groups.setAttribute("role", "group");
groups.setAttribute("aria-label", "Which controls are shown");
for (const [name, words] of Object.entries(GROUPS)) {
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: words });
  button.dataset.name = name;
  button.addEventListener("click", () => showGroup(name));
  groups.append(button);
}

// The groups' buttons stand between the picture and the controls.
function placeGroups(actions) {
  actions.after(groups);
  showGroup("seeds");
}

// What this is, and three hints, below the picture at a first visit, one after the other, each gone once it was followed.
const HINTS = [
  ["resgen-chosen", "A network makes each of these from a number. Choose one to see it large."],
  ["resgen-turned", "Turn a direction, or switch a block off: all of them change."],
  ["resgen-wander", "Drag the picture to wander between seeds."],
];
const FOLLOWED = "resgen-hints-followed";

function hint(main) {
  const shown = Object.assign(document.createElement("div"), { className: "rg-hint" });
  const told = document.createElement("span");
  const enough = Object.assign(document.createElement("button"), { type: "button", textContent: "×", title: "No more hints" });
  enough.setAttribute("aria-label", enough.title);
  shown.append(told, enough);
  const followed = new Set(recall(FOLLOWED).split(","));
  const next = () => {
    const [, words] = HINTS.find(([name]) => !followed.has(name)) || [];
    told.textContent = words || "";
    shown.hidden = !words;
  };
  const follow = (...names) => {
    if (names.every((name) => followed.has(name))) return;
    for (const name of names) followed.add(name);
    keep(FOLLOWED, [...followed].join(","));
    next();
  };
  for (const [name] of HINTS) window.addEventListener(name, () => follow(name));
  enough.addEventListener("click", () => {
    follow(...HINTS.map(([name]) => name));
    main.querySelector(".rg-tiles [tabindex='0']")?.focus(); // the button is gone
  });
  main.querySelector(".rg-status-line").before(shown);
  next();
}

when("#grid .rg-main", hint);
// Gradio follows the device when that changes; whoever has chosen keeps what was chosen.
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", ({ matches }) => {
  setTimeout(() => setTheme(recall(THEME) || (matches ? "dark" : "light")));
});

setTheme(recall(THEME) || (document.body.classList.contains("dark") ? "dark" : "light"));
setLetters(recall(LETTERS) !== "off");
when("#before", connectBefore);
when("#actions", placeGroups);
