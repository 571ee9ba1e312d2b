// Where the images of a grid lie, as large as they fit into the pane, and one canvas painted with all of them.
function makeSheet({ pane, stage, canvas, rowLabels, columnLabels, narrow }) {
  const GAP = 2; // CSS pixels, as all here
  const LEAST = 16; // a side that an image is shown at, however many there are
  const MOST = 512;
  let columns = 1; // as laid out: a phone may show others than were asked for
  let count = 0;
  let side = LEAST; // of an image

  const rows = () => Math.ceil(count / columns);
  const pitch = () => side + GAP;

  // Whether images in the columns that were asked for can be so small that all of them are in sight.
  const isSeenWhole = (view) => Math.ceil(count / view.columns) * (LEAST + GAP) <= pane.clientHeight;

  // `isFree`: the images may lie in other columns than were asked for.
  function lay(view, isFree) {
    stage.hidden = false;
    count = view.captions.length;
    columns = isFree && (narrow.matches || !isSeenWhole(view)) ? columnsFor(pane.clientWidth, pane.clientHeight, view.columns, count, GAP) : view.columns;
    label(rowLabels, view.rowLabels);
    label(columnLabels, view.columnLabels);
    const beside = view.rowLabels.length ? rowLabels.offsetWidth + 8 : 0;
    const above = view.columnLabels.length ? columnLabels.offsetHeight : 0;
    stage.classList.toggle("rg-labelled", beside + above > 0);
    side = fit(pane.clientWidth - beside, pane.clientHeight - above, columns, rows(), GAP, LEAST, MOST);
    stage.style.width = columnLabels.style.width = `${columns * pitch()}px`;
    stage.style.height = `${rows() * pitch()}px`;
  }

  function label(place, words) {
    place.replaceChildren(...words.map((text) => Object.assign(document.createElement("span"), { textContent: text, title: text })));
    place.style.setProperty("--count", words.length);
    place.hidden = !words.length;
  }

  function clear() {
    stage.hidden = rowLabels.hidden = columnLabels.hidden = true;
  }

  function paint({ view, picture }, isBefore) {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const step = Math.round(pitch() * ratio);
    const size = step - Math.round(GAP * ratio);
    canvas.width = columns * step;
    canvas.height = rows() * step;
    const context = canvas.getContext("2d");
    view.captions.forEach((words, index) => {
      if (words) paintImage(context, picture, view, index, (index % columns) * step, Math.floor(index / columns) * step, size); // else an empty corner
    });
    canvas.dataset.painted = view.query;
    stage.classList.toggle("rg-before", isBefore);
  }

  // Show all that is painted so far to the right and down.
  function move(right, down) {
    canvas.style.transform = right || down ? `translate(${right}px, ${down}px)` : "";
  }

  // A pointer's place, in images.
  function tileAt(event) {
    const box = stage.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * columns, ((event.clientY - box.top) / box.height) * rows()];
  }

  return { lay, clear, paint, move, tileAt, columns: () => columns, rows, pitch };
}
