// One button over each image of a grid, by which it is chosen: by mouse, touch and keys. `choose` hears which one, -1 for none.
function makeTiles({ root, choose }) {
  let laid = null; // as `lay` was told

  // `kinds`: as what each image is marked, if it is.
  function lay(next) {
    laid = next;
    const { captions, kinds, columns, rows } = next;
    const isHeldAway = placeOf(document.activeElement) >= captions.length;
    root.style.gridTemplateColumns = `repeat(${columns}, 1fr)`;
    root.style.gridTemplateRows = `repeat(${rows}, 1fr)`;
    while (root.children.length > captions.length) root.lastChild.remove();
    while (root.children.length < captions.length) root.append(Object.assign(document.createElement("button"), { type: "button" }));
    [...root.children].forEach((button, index) => dress(button, captions[index], kinds[index], index));
    if (isHeldAway) focus(0); // for the keys
  }

  function dress(button, caption, kind, index) {
    const words = kind ? `${caption}, marked ${kind}` : caption;
    button.setAttribute("aria-label", words || "empty");
    button.title = words;
    button.dataset.mark = kind || "";
    button.setAttribute("aria-pressed", String(index === laid.chosen));
    button.tabIndex = index === Math.max(laid.chosen, 0) ? 0 : -1;
  }

  const placeOf = (button) => [...root.children].indexOf(button);
  const focus = (index) => root.children[index]?.focus({ preventScroll: true });

  // Of the chosen one a click chooses none.
  function click(event) {
    const index = placeOf(event.target.closest("button"));
    if (index < 0) return;
    choose(index === laid.chosen ? -1 : index);
    focus(index); // for the keys: Safari does not focus what is clicked
  }

  function press(event) {
    const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -laid.columns, ArrowDown: laid.columns };
    const from = placeOf(document.activeElement);
    const to = from + (moves[event.key] || 0);
    if (event.key === "Escape") choose(-1);
    if (from < 0 || to === from || !root.children[to]) return;
    event.preventDefault();
    choose(to);
    root.children[to].focus();
  }

  return { lay, focus, click, press };
}
