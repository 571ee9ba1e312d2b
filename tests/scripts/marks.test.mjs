// Which images are marked: static/marks.js.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

const source = readFileSync(new URL("../../resgen/studio/static/marks.js", import.meta.url), "utf8");
const makeMarks = new Function(`${source}; return makeMarks;`)();

const grid = (turned = "") => ({ columns: 2, columnLabels: [], keys: ["a", "b"], tiles: [`a${turned}`, `b${turned}`], query: `seeds=0-1${turned}` });
const strip = (name) => ({ columns: 3, columnLabels: ["-1", "0", "1"], keys: ["a", "a", "a"], tiles: ["a-", "a", "a+"], query: `seeds=0&sweep=${name}` });

test("a mark stays with its image while dials are turned, and tells the image that was marked", () => {
  const marks = makeMarks();
  marks.mark(grid(), 1, "more");
  assert.equal(marks.kindOf(grid("&truncation=0.5"), 1), "more");
  assert.equal(marks.kindOf(grid(), 0), undefined);
  assert.deepEqual(marks.told(), { more: ["b"], less: [] });
});

test("a second mark of the same kind takes it back, one of the other kind takes its place", () => {
  const marks = makeMarks();
  marks.mark(grid(), 0, "more");
  marks.mark(grid(), 0, "less");
  assert.deepEqual(marks.told(), { more: [], less: ["a"] });
  marks.mark(grid(), 0, "less");
  assert.ok(marks.isEmpty());
});

test("along a strip each step is an image of its own, but the one at 0 is that of the grid", () => {
  const marks = makeMarks();
  marks.mark(grid(), 0, "more");
  marks.mark(strip("hats"), 2, "less");
  assert.deepEqual([0, 1, 2].map((index) => marks.kindOf(strip("hats"), index)), [undefined, "more", "less"]);
  assert.equal(marks.kindOf(strip("age"), 2), undefined);
  marks.clear();
  assert.ok(marks.isEmpty());
});
