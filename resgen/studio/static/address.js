// The page's address and history: the address always restores what is on screen, and Back and Forward go through what was.
// Grids and players say what they show by the event "resgen-shown". What comes in a row is one entry, made with the first of it: whoever goes back at once
// finds what was there before.
const SETTLED = 500; // milliseconds without another picture that end a row
const LONGEST = 6000; // characters of a query that servers take; a longer one is kept behind '#', which is not sent
const LATE = 10_000; // milliseconds that a picture may take
const LAST = "resgen-last-step";
const told = element.querySelector("span").dataset;
let shown = null; // the query on screen
let at = window.history.state?.step ?? 0; // the step of the entry on screen; Gradio's own panels forget that of the history
let isOpen = false; // whether the entry takes the pictures that come next
let isPlaying = false;
let settling = 0;
let awaited = null; // until when what Back or Forward went to may take to be on screen; what was on its way before does not count

const linkOf = (query) => (query.length <= LONGEST ? `?${query}` : `${window.location.pathname}#${query}`);
const current = () => window.location.search + window.location.hash;
const says = (link, address = current()) => address.endsWith(link.replace(window.location.pathname, ""));
const last = () => Number(recall(LAST, "sessionStorage"));

// Safari takes a hundred in some seconds; what it did not take is written once the row has ended.
function write(way, step, query) {
  try {
    window.history[way]({ step }, "", linkOf(query));
    return true;
  } catch {
    return false;
  }
}

function share(query) {
  const isNew = told.settled !== undefined && !isOpen && !says(linkOf(query), told.settled);
  if (isNew) isOpen = push(query);
  else restore(query);
}

function push(query) {
  if (!write("pushState", at + 1, query)) return false;
  at++;
  keep(LAST, String(at), "sessionStorage");
  showSteps();
  return true;
}

function restore(query) {
  if (!says(linkOf(query)) || window.history.state?.step !== at) write("replaceState", at, query);
}

function settle(query) {
  share(query);
  rest();
}

function rest() {
  clearTimeout(settling);
  isOpen = false;
  told.settled = current();
  showSteps();
}

// Inside a Hugging Face Space the page around it is told.
function tellOutside(query) {
  const parts = linkOf(query).startsWith("?") ? { queryString: query, hash: "" } : { queryString: "", hash: query };
  if (window.parent !== window) window.parent.postMessage(parts, "https://huggingface.co");
}

const plays = (query) => new URLSearchParams(query).has("compare") && document.querySelector("#play-training")?.textContent.trim() === "Pause";

function showSteps() {
  const [undo, redo] = ["#undo", "#redo"].map((id) => document.querySelector(id));
  if (!undo || !redo) return;
  const held = document.activeElement;
  undo.disabled = at === 0;
  redo.disabled = at >= last();
  if (held === undo && undo.disabled) (redo.offsetParent ? redo : document.querySelector("#before")).focus(); // what is off keeps no focus
  if (held === redo && redo.disabled) undo.focus();
}

window.addEventListener("resgen-shown", ({ detail: { query } }) => {
  if (awaited !== null && performance.now() < awaited && !says(linkOf(query))) return;
  [awaited, shown] = [null, query];
  const hasPlayed = isPlaying;
  isPlaying = plays(query);
  isOpen ||= hasPlayed && isPlaying; // a training that plays is one row, however slow
  share(query);
  tellOutside(query);
  clearTimeout(settling);
  settling = setTimeout(settle, SETTLED, query);
});

window.addEventListener("popstate", () => {
  at = window.history.state?.step ?? at;
  shown = null;
  awaited = performance.now() + LATE;
  rest();
  trigger("select");
});

// Whoever goes on at once wants the address to follow, and whoever has seen Gradio's own panels wants it back.
function goOn() {
  awaited = null;
  if (shown !== null) restore(shown);
}

// A link that was opened by itself begins anew, whatever this tab has shown before.
const isOpened = performance.getEntriesByType("navigation")[0]?.type === "navigate";
if (isOpened && window.history.state?.step === undefined) keep(LAST, "0", "sessionStorage");

for (const act of ["input", "click"]) window.addEventListener(act, goOn, true);
