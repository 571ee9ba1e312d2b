// The scripts of resgen/site/static that need no page: links, points, layout, notes. Noise is compared with PyTorch in tests/test_site.py.
import assert from "node:assert/strict";
import test from "node:test";

const at = (name) => new URL(`../../resgen/site/static/${name}.js`, import.meta.url);
const { backends, toPixels } = await import(at("draw"));
const { gainsOf, locate, moveLatents, positionsOf, readLatents, slerp, walk } = await import(at("latent"));
const { arrange } = await import(at("layout"));
const { startsOf } = await import(at("renderer"));
const { atRest, formatSeeds, parseSeeds, readLink, withCheckpoint, writeLink } = await import(at("link"));

const tiny = { name: "tiny", classes: ["disc", "square"], directions: ["pc1", "constructor"], blocks: ["block 1", "block 2"], dials: true, zDim: 16, wDim: 3 };
const plain = { name: "plain", classes: [], directions: [], blocks: ["block 1"], dials: false, zDim: 16, wDim: 3 };
const latents = readLatents(new Float32Array([0, 0, 0, 2, 2, 2, 1, 0, -1, 0, 5, 0]).buffer, tiny);

test("seeds are read and written as the command line does", () => {
  assert.deepEqual(parseSeeds(" 0-3, 42 7"), [0, 1, 2, 3, 42, 7]);
  assert.equal(formatSeeds([0, 1, 2, 3, 42, 7, 8]), "0-3,42,7-8");
  for (const wrong of ["", "1.5", "-1", "5-2", "0-400", "9007199254740992", "cat"]) assert.throws(() => parseSeeds(wrong), /^Error: Seeds: /);
  assert.throws(() => parseSeeds("3", 2), /at least 2/);
});

test("a link brings back what it was made of", () => {
  const rest = atRest(tiny);
  const moved = { ...rest, seeds: [5, 6, 9], className: "square", truncation: 0.7, directions: new Map([["pc1", -1.5]]), gains: [1, 0.25] };
  for (const state of [rest, moved, { ...moved, screen: "walk", stops: [3, 1], seconds: 2.5 }]) {
    assert.deepEqual(readLink(writeLink(state), [plain, tiny]), { state, problems: [] });
  }
});

test("names with what separates them in a link are written as the studio writes them", () => {
  const odd = { ...plain, classes: ["a;b", "100%"], directions: ["hats, gloves"] };
  const state = { ...atRest(odd), className: "100%", directions: new Map([["hats, gloves", 2]]) };
  assert.deepEqual(readLink(writeLink(state), [odd]), { state, problems: [] });
  assert.equal(readLink("classes=a%253Bb", [odd]).state.className, "a;b");
});

test("what a link cannot mean is told, and the rest of it is shown", () => {
  const { state, problems } = readLink("checkpoint=tiny&seeds=4&classes=cat&truncation=9&directions=pc9%3D1&residual_gains=1&seconds=x", [tiny]);
  assert.deepEqual(state, { ...atRest(tiny), seeds: [4] });
  assert.equal(problems.length, 5);
  assert.equal(readLink("checkpoint=other", [tiny]).problems.length, 1);
  assert.match(readLink("directions=pc1", [tiny]).problems.join(), /“pc1” has no amount; .* pc1=2/);
  const studios = readLink("checkpoint=tiny&seeds=4&plane=1%2C2%2C0.5&plane_rows=2&sweep=pc1&edits=0%3Apc1%3D1&columns=3&scale=2", [tiny]);
  assert.deepEqual(studios.problems, ["This page cannot show: plane, sweep, edits."]);
  assert.equal(readLink("checkpoint=plain&residual_gains=1", [plain]).problems.length, 1);
  assert.deepEqual(readLink("", [tiny]), { state: atRest(tiny), problems: [] });
});

test("another checkpoint keeps what it has", () => {
  const state = { ...atRest(tiny), seeds: [7], className: "disc", directions: new Map([["pc1", 1]]), gains: [1, 2] };
  assert.deepEqual(withCheckpoint(state, plain), { ...atRest(plain), seeds: [7] });
  assert.deepEqual(withCheckpoint(state, { ...tiny, name: "other" }), { ...state, checkpoint: "other" });
});

test("w is drawn towards the mean of its class and moved along directions", () => {
  const points = locate([0, 1], "square", tiny);
  assert.deepEqual([...points[0].classWeights], [0, 1]);
  const w = new Float32Array(12).fill(4); // two images, two blocks, three numbers
  const settings = { truncation: 0.5, directions: new Map([["pc1", 2]]) };
  moveLatents(w, points, settings, { ...tiny, latents });
  assert.deepEqual([...w], [5, 3, 1, 5, 3, 1, 5, 3, 1, 5, 3, 1]);
  moveLatents(w, points, { truncation: 1, directions: new Map() }, { ...tiny, latents });
  assert.deepEqual([...w.slice(0, 3)], [5, 3, 1]);
});

test("without classes there is one mean, and no class weights", () => {
  const [point] = locate([3], "", plain);
  assert.equal(point.classWeights.length, 0);
  const w = new Float32Array(3).fill(4);
  const of = { ...plain, latents: readLatents(new Float32Array([1, 2, 3]).buffer, plain) };
  moveLatents(w, [point], { truncation: 0, directions: new Map() }, of);
  assert.deepEqual([...w], [1, 2, 3]);
});

test("gains are one for each block of each image, 1 where none are given", () => {
  assert.deepEqual([...gainsOf([], 2, tiny)], [1, 1, 1, 1]);
  assert.deepEqual([...gainsOf([1, 0.5], 2, tiny)], [1, 0.5, 1, 0.5]);
});

test("a walk passes through its stops, and noise keeps its strength between them", () => {
  const stops = locate([0, 1, 2], "", tiny);
  assert.deepEqual(positionsOf(6, 3), [0, 0.5, 1, 1.5, 2, 2.5]);
  const [first, half, second, , , back] = walk(stops, positionsOf(6, 3));
  const length = (z) => Math.hypot(...z);
  assert.ok(first.z.every((value, i) => Math.abs(value - stops[0].z[i]) < 1e-6));
  assert.ok(second.z.every((value, i) => Math.abs(value - stops[1].z[i]) < 1e-6));
  const [least, most] = [stops[0].z, stops[1].z].map(length).sort((a, b) => a - b);
  assert.ok(length(half.z) > 0.9 * least && length(half.z) < 1.1 * most);
  assert.ok(back.z.every((value, i) => Math.abs(value - slerp(stops[2].z, stops[0].z, 0.5)[i]) < 1e-6));
  assert.ok([...half.classWeights].reduce((sum, share) => sum + share) === 1);
});

test("each batch is drawn once, wherever the drawing begins", () => {
  assert.deepEqual(startsOf(20, 0), [0, 8, 16]);
  assert.deepEqual(startsOf(20, 8), [8, 16, 0]);
  assert.deepEqual(startsOf(3, 96), [0]);
});

test("images fill a pane, and one pixel more would not fit", () => {
  for (const [count, width, height] of [[24, 880, 640], [24, 358, 400], [1, 500, 300], [7, 300, 900], [400, 800, 600]]) {
    const { columns, rows, side } = arrange(count, width, height, 2);
    assert.ok(columns * rows >= count && columns * (rows - 1) < count);
    assert.ok(columns * (side + 2) - 2 <= width && rows * (side + 2) - 2 <= height);
    for (let others = 1; others <= count; others++) {
      assert.ok(others * (side + 3) - 2 > width || Math.ceil(count / others) * (side + 3) - 2 > height);
    }
  }
});

test("pixels are rounded as the server rounds them, and grey is shown in all colours", () => {
  const images = new Float32Array([-1, 1, 0, 2]); // one channel, two images of two pixels
  assert.deepEqual([...toPixels(images, 2, 1)], [0, 0, 0, 255, 255, 255, 255, 255, 128, 128, 128, 255, 255, 255, 255, 255]);
  assert.deepEqual([...toPixels(new Float32Array([-1, 0, 1]), 1, 3)], [0, 128, 255, 255]);
});

test("a GPU is used where there is a real one", async () => {
  const gpu = (adapter) => ({ requestAdapter: async () => adapter });
  assert.deepEqual(await backends(gpu({ info: { isFallbackAdapter: false } })), ["webgpu", "wasm"]);
  assert.deepEqual(await backends(gpu({ info: { isFallbackAdapter: true } })), ["wasm"]);
  assert.deepEqual(await backends(gpu(null)), ["wasm"]);
  assert.deepEqual(await backends(undefined), ["wasm"]);
  assert.deepEqual(await backends({ requestAdapter: () => Promise.reject(new Error("blocked")) }), ["wasm"]);
});
