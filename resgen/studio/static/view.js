// What grid.js and player.js begin with: of many pictures asked for the newest stays, and the page's address follows what is on screen.
let newest = 0; // number of the request that the picture on screen answers, or the one being decoded

// The picture of a view, or null where a newer one was asked for and is there. A view that comes with settings for the controls
// (`sets`, or one nobody numbered) is newer than all that was asked before it came, since those asked with other settings.
async function decode(next) {
  const last = window.resgenAsked || 0;
  const asked = next.sets || !next.asked ? (window.resgenAsked = last + 1) : next.asked;
  if (asked < newest) return null;
  newest = asked;
  const picture = new Image(); // one for each view: a newer one must not break off the decoding of this one
  picture.src = next.src;
  await picture.decode();
  if (next.sets && last > next.asked) trigger("submit"); // another control was turned meanwhile, and no picture shows both
  return asked === newest ? picture : null;
}

// The address always restores what is on screen; inside a Hugging Face Space the page around it is told. Whether it changed.
function shareAddress(query) {
  const search = `?${query}`;
  const changed = window.location.search !== search;
  if (changed) window.history.replaceState(window.history.state, "", search);
  if (window.parent !== window) window.parent.postMessage({ queryString: query, hash: "" }, "https://huggingface.co");
  return changed;
}

// A screen that comes into view takes the address over.
function whenSeen(act) {
  new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) act();
  }).observe(element);
}
