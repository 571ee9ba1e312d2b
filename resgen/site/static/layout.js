// How a picture is laid out: a plain function, so that it can be tried without a page.

/**
 * The columns in which `count` square images, `gap` pixels between them, are largest in a pane.
 * @returns {{columns: number, rows: number, side: number}} side in whole pixels, at least 1
 */
export function arrange(count, width, height, gap) {
  let best = { columns: 1, rows: count, side: 0 };
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const side = Math.floor(Math.min((width + gap) / columns, (height + gap) / rows)) - gap;
    if (side > best.side) best = { columns, rows, side };
  }
  return { ...best, side: Math.max(1, best.side) };
}
