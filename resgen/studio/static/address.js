// The page's address and history: the address always restores what is on screen, and Back and Forward go through what was.
// Grids and players say what they show by the event "resgen-shown"; a state counts once it was left alone for a while.
const SETTLED = 500; // milliseconds
const LONGEST = 6000; // characters of a query that servers take; a longer one is kept behind '#', which is not sent
const LAST = "resgen-last-step";
let settled = null; // the link of the latest entry of the history
let settling = 0;

const linkOf = (query) => (query.length <= LONGEST ? `?${query}` : `${window.location.pathname}#${query}`);
const current = () => window.location.search + window.location.hash;
const step = () => window.history.state?.step || 0;
const last = () => Number(window.sessionStorage.getItem(LAST) || 0);

function share(query) {
  const link = linkOf(query);
  if (!current().endsWith(link.replace(window.location.pathname, ""))) window.history.replaceState(window.history.state, "", link);
  // Inside a Hugging Face Space the page around it is told.
  if (window.parent !== window) window.parent.postMessage({ queryString: query, hash: "" }, "https://huggingface.co");
}

// What is on screen becomes an entry of its own; the one before gets back the link that it had.
function remember() {
  const link = current();
  if (settled !== null && settled !== link) {
    window.history.replaceState(window.history.state, "", settled || window.location.pathname);
    window.history.pushState({ step: step() + 1 }, "", link);
    window.sessionStorage.setItem(LAST, String(step()));
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
  share(event.detail.query);
  clearTimeout(settling);
  settling = setTimeout(remember, SETTLED);
});

window.addEventListener("popstate", () => {
  clearTimeout(settling);
  settled = current();
  showSteps();
  trigger("select", { link: current() });
});
