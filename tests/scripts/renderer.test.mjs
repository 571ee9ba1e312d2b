// What is asked of a worker that fails, or is let go, and what cannot be fetched: resgen/site/static/renderer.js, draw.js.
import assert from "node:assert/strict";
import test from "node:test";

const at = (name) => new URL(`../../resgen/site/static/${name}.js`, import.meta.url);
const { Renderer } = await import(at("renderer"));
const { fetchBytes, openGenerator } = await import(at("draw"));

const workers = [];
globalThis.Worker = class extends EventTarget {
  asked = [];
  constructor() {
    super();
    workers.push(this);
  }
  postMessage(message) {
    this.asked.push(message);
  }
  terminate() {
    this.isGone = true;
  }
  answer(id, told) {
    this.dispatchEvent(Object.assign(new Event("message"), { data: { id, ...told } }));
  }
};
const points = [{ z: new Float32Array(2), classWeights: new Float32Array(0) }];

test("who waits for a renderer that is closed is told, and the next thing that is asked begins another", async () => {
  workers.length = 0;
  const renderer = new Renderer({});
  renderer.close(); // nothing was begun
  const waited = renderer.map(points);
  renderer.close();
  await assert.rejects(waited, /stopped/);
  assert.ok(workers[0].isGone);
  const again = renderer.map(points);
  assert.equal(workers.length, 2);
  workers[1].answer(workers[1].asked[0].id, { value: "w" });
  assert.equal(await again, "w");
});

test("after a start that failed all is counted again that is fetched again", async () => {
  workers.length = 0;
  const renderer = new Renderer({ script: { bytes: 100 } });
  const counted = [];
  const open = () => renderer.open({ directions: [], classes: [], wDim: 1 }, { latents: { bytes: 10 } }, (_, all) => counted.push(all));
  const answers = [{ value: { backend: "wasm", latents: new ArrayBuffer(4) } }, { error: "Another was chosen.", hasStarted: true }, { error: "It failed.", hasStarted: false }];
  for (const told of answers) {
    const opening = open().catch((error) => error);
    workers[0].answer(workers[0].asked.at(-1).id, { bytes: 1 });
    workers[0].answer(workers[0].asked.at(-1).id, told);
    await opening; // oxlint-disable-line no-await-in-loop -- one after the other
  }
  open();
  workers[0].answer(workers[0].asked.at(-1).id, { bytes: 1 });
  assert.deepEqual(counted, [110, 10, 10, 110]);
});

test("a backend whose sessions cannot even be released makes room for the next", async () => {
  const lost = new Error("The device is lost.");
  const create = async (_, { executionProviders: [backend] }) => ({
    outputNames: ["out"],
    run: async () => {
      if (backend === "webgpu") throw lost;
      return { out: { getData: async () => new Float32Array(3), dispose: () => {} } };
    },
    release: async () => {
      throw lost;
    },
  });
  const ort = { InferenceSession: { create }, Tensor: class {} };
  const checkpoint = { zDim: 1, wDim: 3, classes: [], blocks: ["block"], dials: false, channels: 1 };
  let tries = 0;
  const failing = { ...ort, InferenceSession: { create: async (...given) => (++tries === 2 ? Promise.reject(lost) : create(...given)) } };
  assert.equal((await openGenerator(failing, {}, checkpoint, ["webgpu", "wasm"])).backend, "wasm");
});

test("a file that breaks off is told as one that does not come", async () => {
  const parts = [(stream) => stream.enqueue(new Uint8Array(2)), (stream) => stream.error(new TypeError("network error"))];
  const broken = new Response(new ReadableStream({ pull: (stream) => parts.shift()(stream) }));
  for (const answer of [Promise.reject(new TypeError("Failed to fetch")), Promise.resolve(broken)]) {
    globalThis.fetch = () => answer;
    await assert.rejects(fetchBytes({ url: "https://site/latents.bin?1" }, () => {}), /^Error: latents[.]bin could not be fetched/); // oxlint-disable-line no-await-in-loop -- one after the other
  }
});
