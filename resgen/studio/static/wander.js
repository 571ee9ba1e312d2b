// Wandering: the picture is dragged, the window of the seed plane moves the other way. What is drawn already goes with the hand
// until what lies there now comes. The plane has `width` x `height` seeds, steps from `low` to `high`; a picture takes `latest` milliseconds at most.
// `viewOf` gives the view on screen, `repaint` lays and paints it, `tell` hears of each window, and (null, true) once the hand rests.
function makeWander({ sheet, width, height, low, high, latest, viewOf, repaint, tell }) {
  const PAUSE = 300; // milliseconds after which a wheel rests
  const fingers = new Map(); // pointers that are down
  let wandered = null; // { view, plane }: the window of which the page has drawn a view's images since
  let spread = null; // the view that is as wide as the window that comes in its place, also on a phone
  let drag = null; // { from: where it began, an event, start: the window, right, down, moved } of one finger
  let wanted = null; // the window that was asked for last
  let asked = new Set(); // all of those on the way to it, and where that began, as text
  let giving = 0; // the timer after which it is not expected any more
  let pausing = 0; // that of a wheel
  let wasDragged = false; // whether this gesture has moved the window: the server is told at its end, and its click is no choice

  const planeOf = (view) => (wandered?.view === view ? wandered.plane : new URLSearchParams(view.query).get("plane")?.split(",").map(Number));

  // The window that is on screen; of seeds, the one in which the image at a pointer stays where it is.
  function windowAt(event) {
    const view = viewOf();
    const plane = planeOf(view);
    if (plane) return plane;
    if (view.rowLabels.length || view.columnLabels.length) return null; // the plane has other neighbours than a strip or rows of classes
    const [columns, rows] = [sheet.columns(), sheet.rows()];
    const [column, row] = sheet.tileAt(event).map((place, axis) => Math.max(0, Math.min([columns, rows][axis] - 1, Math.floor(place))));
    const query = new URLSearchParams(view.tiles[Math.min(row * columns + column, view.tiles.length - 1)]);
    const seed = Number(query.get("seeds"));
    if (!query.has("seeds") || query.has("variation_of")) return null;
    return windowAround([seed % width, Math.floor(seed / width)], column, row, columns, rows, ENTRY_STEP);
  }

  function want(plane) {
    if (!wanted) asked = new Set([String(planeOf(viewOf()))]);
    wanted = onPlane(plane, width, height);
    asked.add(String(wanted));
    clearTimeout(giving);
    giving = setTimeout(giveUp, latest);
    tell(wanted, false);
  }

  // What was asked for was refused.
  function giveUp() {
    wanted = null;
    shift();
  }

  // Move what is painted to where it lies in the window that is wanted.
  function shift() {
    const plane = viewOf() && planeOf(viewOf());
    if (!asked.has(String(plane))) wanted = null; // another control has moved it
    if (plane && wanted && Math.abs(plane[2] - wanted[2]) < 1e-4) {
      const [right, down] = [0, 1].map((axis) => (plane[axis] - wanted[axis]) / plane[2]);
      if (Math.abs(right) + Math.abs(down) < 1e-3) wanted = null;
      const isInSight = wanted && Math.max(Math.abs(right), Math.abs(down)) < sheet.columns();
      sheet.move(...(isInSight ? [right * sheet.pitch(), down * sheet.pitch()] : [0, 0]));
    } else sheet.move(...(drag?.moved && !plane ? [drag.right, drag.down] : [0, 0]));
  }

  // A window is as wide as the grid of seeds that it is entered from, however a phone shows that: its images move to where those of the window will be.
  function spreadOut() {
    spread = viewOf();
    if (sheet.columns() !== spread.columns) repaint();
  }

  // What the page has drawn in place of a view's images.
  function takeDrawn(view, plane) {
    wandered = { view, plane };
    spreadOut();
  }

  // Whether there is a window to zoom.
  function zoom(event, factor) {
    if (!windowAt(event)) return false;
    spreadOut();
    const [column, row] = sheet.tileAt(event);
    want(zoomed(wanted || windowAt(event), factor, column - sheet.columns() / 2, row - sheet.rows() / 2, low, high));
    return true;
  }

  function turnWheel(event) {
    const isSideways = Math.abs(event.deltaX) >= Math.abs(event.deltaY); // it leads back, or scrolls
    if (event.ctrlKey || isSideways || !zoom(event, 1.0015 ** event.deltaY)) return;
    event.preventDefault();
    clearTimeout(pausing);
    pausing = setTimeout(tell, PAUSE, null, true);
  }

  function start(event) {
    if (event.button) return;
    if (event.isPrimary) fingers.clear(); // of another one the end is not told where a picture of fewer images took its button away
    fingers.set(event.pointerId, event);
    drag = fingers.size === 1 ? { from: event, start: windowAt(event), right: 0, down: 0, moved: false } : null;
    if (drag) wasDragged = false;
  }

  function follow(event) {
    if (!fingers.has(event.pointerId)) return;
    if (!event.buttons) return end(event); // a button that was let go outside the grid
    const wide = apart();
    fingers.set(event.pointerId, event);
    if (wide && apart()) wasDragged = zoom(event, wide / apart()) || wasDragged;
    if (!drag?.start) return;
    [drag.right, drag.down] = [event.clientX - drag.from.clientX, event.clientY - drag.from.clientY];
    if (!drag.moved && Math.hypot(drag.right, drag.down) < 6) return;
    if (!drag.moved) {
      event.currentTarget.setPointerCapture(event.pointerId);
      spreadOut();
      drag.start = windowAt(drag.from);
    }
    drag.moved = wasDragged = true;
    want(dragged(drag.start, drag.right / sheet.pitch(), drag.down / sheet.pitch()));
    shift();
  }

  // How far two fingers are apart, 0 where there are not two.
  function apart() {
    const [one, two] = [...fingers.values()];
    return two ? Math.hypot(one.clientX - two.clientX, one.clientY - two.clientY) : 0;
  }

  function end(event) {
    if (!fingers.delete(event.pointerId)) return;
    drag = null;
    if (wasDragged && !fingers.size) tell(null, true);
  }

  // Whether the click that comes now ends a drag.
  function endsDrag() {
    const was = wasDragged;
    wasDragged = false; // Enter on an image is a click as well
    return was;
  }

  return { planeOf, isSpread: (view) => spread === view, takeDrawn, shift, start, follow, end, turnWheel, endsDrag };
}
