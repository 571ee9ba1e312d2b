// The page's address and history: the address always restores what is on screen, and Back and Forward go through what was.
// Grids and players say what they show by the event "resgen-shown"; a state counts once it was left alone for a while.
const SETTLED = 500; // milliseconds
const LONGEST = 6000; // characters of a query that servers take; a longer one is kept behind '#', which is not sent
const LATE = 10_000; // milliseconds that a picture may take
const LAST = "resgen-last-step";
let settled = null; // the link of the latest entry of the history
let settling = 0;
let awaited = null; // until when what Back or Forward went to may take to be on screen; what was on its way before does not count

const linkOf = (query) => (query.length <= LONGEST ? `?${query}` : `${window.location.pathname}#${query}`);
const current = () => window.location.search + window.location.hash;
const says = (link) => current().endsWith(link.replace(window.location.pathname, ""));
const step = () => window.history.state?.step || 0;
const last = () => Number(recall(LAST, "sessionStorage"));

function share(query) {
  const link = linkOf(query);
  try {
    if (!says(link)) window.history.replaceState(window.history.state, "", link);
  } catch {
    // Safari takes a hundred in some seconds; the last one is shared again once it has settled.
  }
  // Inside a Hugging Face Space the page around it is told.
  const parts = link.startsWith("?") ? { queryString: query, hash: "" } : { queryString: "", hash: query };
  if (window.parent !== window) window.parent.postMessage(parts, "https://huggingface.co");
}

// Through a training that plays, each picture is a step of it and none of the visitor's.
const plays = (query) => new URLSearchParams(query).has("compare") && document.querySelector("#play-training")?.textContent.trim() === "Pause";

// What is on screen becomes an entry of its own; the one before gets back the link that it had.
function remember(query) {
  share(query);
  const link = current();
  if (settled !== null && settled !== link) {
    window.history.replaceState(window.history.state, "", settled || window.location.pathname);
    window.history.pushState({ step: step() + 1 }, "", link);
    keep(LAST, String(step()), "sessionStorage");
  }
  settled = link;
  showSteps();
}

function showSteps() {
  const set = (id, disabled) => {
    const button = document.querySelector(id);
    if (button) button.disabled = disabled;
  };
  set("#undo", step() === 0);
  set("#redo", step() >= last());
}

window.addEventListener("resgen-shown", (event) => {
  if (awaited !== null && performance.now() < awaited && !says(linkOf(event.detail.query))) return;
  awaited = null;
  const { query } = event.detail;
  if (!plays(query)) {
    clearTimeout(settling);
    settling = setTimeout(remember, SETTLED, query);
  }
  share(query);
});

window.addEventListener("popstate", () => {
  clearTimeout(settling);
  settled = current();
  awaited = performance.now() + LATE;
  showSteps();
  trigger("select");
});

// A link that was opened by itself begins anew, whatever this tab has shown before.
const isOpened = performance.getEntriesByType("navigation")[0]?.type === "navigate";
if (isOpened && window.history.state?.step === undefined) keep(LAST, "0", "sessionStorage");

// Whoever goes on at once wants the address to follow.
for (const act of ["input", "click"]) window.addEventListener(act, () => (awaited = null), true);
