// A place for one image, large, with what can be done with it: the chosen one, or a picture of the strip of blocks while that is looked at.
// `actions`: [name, label, help] of each button.
function makeCloseUp({ root, actions }) {
  const SIDE = 512; // pixels
  const canvas = root.querySelector("canvas");
  let chosen = null;
  let looked = null;

  function lay() {
    const buttons = [...actions, ["close", "Close", "Back to the grid"]].map(([action, text, help]) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: text, title: help, disabled: true });
      button.dataset.action = action;
      return button;
    });
    root.querySelector(".rg-actions").replaceChildren(...buttons);
  }

  // The chosen image, null where none is: { view, picture, index, caption }, and `isAlone`, whether it is a picture by itself, `kind`, as what it is marked.
  function show(next) {
    chosen = next;
    paint();
  }

  function look(picture) {
    looked = picture;
    paint();
  }

  function paint() {
    const shown = looked ?? chosen;
    canvas.hidden = !shown;
    root.querySelector(".rg-nothing").hidden = Boolean(shown);
    root.classList.toggle("rg-open", Boolean(shown));
    root.querySelector("figcaption").textContent = shown ? shown.caption : "";
    if (shown) {
      canvas.width = canvas.height = SIDE;
      paintImage(canvas.getContext("2d"), shown.picture, shown.view, shown.index, 0, 0, SIDE);
    }
    for (const button of root.querySelectorAll("[data-action]")) dress(button, button.dataset.action, shown);
  }

  function dress(button, action, shown) {
    button.disabled = action === "close" ? !shown : !chosen?.isAlone;
    if (action === "more" || action === "less") button.setAttribute("aria-pressed", String(chosen?.kind === action));
  }

  lay();
  return { show, look, isLooking: () => looked !== null };
}
