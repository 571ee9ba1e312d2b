// Before and after: while a key or a button is held, the same images without what was turned. `ask` has them drawn, `repaint` shows what is seen now.
function makeBefore({ ask, repaint }) {
  let original = null; // { view, picture } of the images before anything was turned
  let isHeld = false;

  // What stays of all images, turned or not; of a strip that is also what it goes along.
  function imagesOf(view) {
    const link = new URLSearchParams(view.query);
    return JSON.stringify([view.keys, link.get("sweep"), link.get("own_directions")]);
  }

  const isOf = (view) => original !== null && imagesOf(original.view) === imagesOf(view);

  function hold(on, view) {
    if (isHeld === on) return;
    isHeld = on;
    if (on && !isOf(view)) ask();
    repaint();
  }

  function take(found) {
    original = found;
    if (isHeld) repaint();
  }

  // What is seen in place of a view; null before it has come.
  const seen = (view) => (isHeld && isOf(view) ? original : null);

  return { hold, take, seen };
}
