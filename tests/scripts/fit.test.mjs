// The sums of static/fit.js, which are plain functions of the page's scripts.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

const source = readFileSync(new URL("../../resgen/studio/static/fit.js", import.meta.url), "utf8");
const { fit, columnsFor, windowAround, dragged, zoomed, onPlane } = new Function(
  `${source}; return { fit, columnsFor, windowAround, dragged, zoomed, onPlane };`,
)();

test("as many images as asked for fit into the pane, and one pixel more does not", () => {
  for (const [width, height, columns, rows] of [[880, 420, 6, 4], [374, 380, 4, 4], [1300, 700, 24, 10], [333, 999, 7, 3]]) {
    const side = fit(width, height, columns, rows, 2, 1, 10_000);
    assert.ok(columns * (side + 2) <= width && rows * (side + 2) <= height);
    assert.ok(columns * (side + 3) > width || rows * (side + 3) > height);
  }
  assert.equal(fit(100, 100, 100, 100, 2, 16, 512), 16);
  assert.equal(fit(5000, 5000, 1, 1, 2, 16, 512), 512);
});

test("in a small pane images are as large as they can be, in about as many columns as were asked for", () => {
  for (const [width, height, count] of [[374, 340, 24], [374, 340, 16], [300, 500, 3], [374, 340, 100], [500, 200, 7]]) {
    const columns = columnsFor(width, height, 6, count, 2);
    const side = (number) => fit(width, height, number, Math.ceil(count / number), 2, 1, Infinity);
    for (let other = 1; other <= count; other++) assert.ok(side(columns) >= side(other));
  }
  assert.equal(columnsFor(374, 340, 6, 16, 2), 4);
  assert.equal(columnsFor(100, 100, 5, 1, 2), 1);
  assert.equal(columnsFor(374, 340, 2, 24, 2), 2);
});

test("the image that a drag begins at keeps its point", () => {
  const [x, y, step] = windowAround([7, 3], 4, 1, 6, 4, 0.25);
  assert.equal(x + (4 - 2.5) * step, 7);
  assert.equal(y + (1 - 1.5) * step, 3);
});

test("a window moves against the hand, and back", () => {
  assert.deepEqual(dragged([10, 20, 0.5], 2, -1), [9, 20.5, 0.5]);
  assert.deepEqual(dragged(dragged([10, 20, 0.5], 2, -1), -2, 1), [10, 20, 0.5]);
});

test("zooming leaves what is under the pointer where it is, within its limits", () => {
  const [x, y, step] = zoomed([10, 20, 0.4], 0.5, 1.5, -2, 0.02, 1);
  assert.equal(step, 0.2);
  assert.ok(Math.abs(x + 1.5 * step - (10 + 1.5 * 0.4)) < 1e-9 && Math.abs(y - 2 * step - (20 - 2 * 0.4)) < 1e-9);
  assert.equal(zoomed([0, 0, 0.9], 5, 0, 0, 0.02, 1)[2], 1);
});

test("the plane goes round", () => {
  assert.deepEqual(onPlane([-0.25, 1_000_000.5, 0.25], 1000, 1_000_000), [999.75, 0.5, 0.25]);
});
