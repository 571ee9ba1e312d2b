// Sums of a grid's layout: plain functions, so that they can be tried without a page.

const FEW_COLUMNS = 4;
const ENTRY_STEP = 0.25; // seeds between neighbours where the seed plane is entered

// The largest whole side of an image at which `columns` x `rows` of them, each followed by `gap`, fit into a pane.
function fit(width, height, columns, rows, gap, least, most) {
  const side = Math.floor(Math.min(width / columns, height / rows)) - gap;
  return Math.max(least, Math.min(most, side));
}

// The number of columns at which `count` images are largest in a pane, which counts where it is small; of several that nearest to `columns`.
// A few columns are as they were asked for.
function columnsFor(width, height, columns, count, gap) {
  if (columns <= FEW_COLUMNS) return columns;
  const side = (number) => fit(width, height, number, Math.ceil(count / number), gap, 1, Infinity);
  const all = Array.from({ length: count }, (_, place) => place + 1);
  const better = (one, other) => side(other) - side(one) || Math.abs(one - columns) - Math.abs(other - columns);
  return all.reduce((best, one) => (better(one, best) < 0 ? one : best));
}

// Where the window of the seed plane lies whose image in column `column`, row `row` is the point [x, y].
function windowAround([x, y], column, row, columns, rows, step) {
  return [x - (column - (columns - 1) / 2) * step, y - (row - (rows - 1) / 2) * step, step];
}

// The window after its picture was dragged by so many images to the right and down.
function dragged([x, y, step], right, down) {
  return [x - right * step, y - down * step, step];
}

// The window with another step, in which what is `across` and `down` images from its middle stays where it is.
function zoomed([x, y, step], factor, across, down, least, most) {
  const next = Math.min(most, Math.max(least, step * factor));
  return [x + across * (step - next), y + down * (step - next), next];
}

// On the plane: it goes round, and a link needs no more than four digits.
function onPlane([x, y, step], width, height) {
  const round = (value, size) => Math.round((((value % size) + size) % size) * 1e4) / 1e4;
  return [round(x, width), round(y, height), Math.round(step * 1e4) / 1e4];
}
