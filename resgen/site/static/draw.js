// Drawing with onnxruntime-web: the runtime, which backend it uses, and a generator's two graphs. No page is needed: worker.js runs it.

const WEBGPU = "webgpu";
const WASM = "wasm";

/**
 * Load onnxruntime-web, whose wasm it reads itself, so that nothing else is fetched.
 * @param {{script: Source, wasm: Source}} runtime a Source is {url, bytes, integrity?}: the last where it comes from another host
 * @param {(bytes: number) => void} progress told of each part that has arrived
 */
export async function loadRuntime(runtime, progress) {
  const [script, wasm] = await Promise.all([fetchBytes(runtime.script, progress), fetchBytes(runtime.wasm, progress)]);
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const ort = await import(url);
  URL.revokeObjectURL(url);
  ort.env.wasm.wasmBinary = wasm.buffer;
  ort.env.wasm.numThreads = 1; // more would need headers that plain file hosts do not send
  ort.env.logLevel = "error";
  return ort;
}

/** A file's bytes; `signal` ends the fetching. Throws an Error with a sentence. */
export async function fetchBytes({ url, integrity }, progress, signal) {
  const name = new URL(url).pathname.split("/").pop();
  const fail = () => {
    throw new Error(`${name} could not be fetched${integrity ? ", or is not the file it should be" : ""}: check the connection, then try again.`);
  };
  const response = await fetch(url, { integrity, signal }).catch(fail);
  if (!response.ok) throw new Error(`${name} is missing on this site (status ${response.status}): its folder was not copied whole.`);
  const parts = [];
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read().catch(fail); // oxlint-disable-line no-await-in-loop -- one part after another
    if (done) break;
    parts.push(value);
    progress(value.length);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/** The backends worth trying, the fastest first; a GPU that software imitates is slower than WASM. */
export async function backends(gpu) {
  const adapter = await gpu?.requestAdapter().catch(() => null);
  return adapter && !adapter.info?.isFallbackAdapter ? [WEBGPU, WASM] : [WASM];
}

/**
 * A generator by the first of the backends that draws an image with it.
 * @param {{mapping: Uint8Array, synthesis: Uint8Array}} graphs
 * @param checkpoint an entry of site.json
 */
export async function openGenerator(ort, graphs, checkpoint, candidates) {
  const [backend, ...others] = candidates;
  const generator = new Generator(ort, checkpoint, backend);
  try {
    await generator.open(graphs);
    await generator.warmUp();
    return generator;
  } catch (error) {
    await generator.close();
    if (!others.length) throw error;
    return openGenerator(ort, graphs, checkpoint, others);
  }
}

class Generator {
  #sessions = [];

  constructor(ort, checkpoint, backend) {
    this.ort = ort;
    this.checkpoint = checkpoint;
    this.backend = backend;
  }

  async open(graphs) {
    await this.#add(graphs.mapping, WASM); // it is small: the way to a GPU and back takes longer than the sum
    await this.#add(graphs.synthesis, this.backend);
  }

  async #add(graph, backend) {
    this.#sessions.push(await this.ort.InferenceSession.create(graph, { executionProviders: [backend] }));
  }

  async close() {
    await Promise.allSettled(this.#sessions.splice(0).map((session) => session.release())); // of a GPU that is lost none can be
  }

  /** Draw one image, so that what is compiled at the first use is ready, and a backend that cannot is known. */
  async warmUp() {
    const { zDim, classes, blocks } = this.checkpoint;
    const w = await this.map(new Float32Array(zDim).fill(1), new Float32Array(classes.length).fill(1 / classes.length));
    await this.synthesise(w, new Float32Array(blocks.length).fill(1));
  }

  /**
   * @param {Float32Array} z [N, zDim]
   * @param {Float32Array} classWeights [N, classes]
   * @returns {Promise<Float32Array>} w [N, blocks, wDim]
   */
  async map(z, classWeights) {
    const { zDim, classes } = this.checkpoint;
    const count = z.length / zDim;
    const feeds = { z: this.#tensor(z, count, zDim) };
    if (classes.length) feeds.class_weights = this.#tensor(classWeights, count, classes.length);
    return run(this.#sessions[0], feeds);
  }

  /**
   * @param {Float32Array} w [N, blocks, wDim]
   * @param {Float32Array} gains [N, blocks]; they count where the generator has dials
   * @returns {Promise<Uint8ClampedArray>} RGBA [N, resolution, resolution, 4]
   */
  async synthesise(w, gains) {
    const { wDim, blocks, dials, channels } = this.checkpoint;
    const count = w.length / (wDim * blocks.length);
    const feeds = { w: this.#tensor(w, count, blocks.length, wDim) };
    if (dials) feeds.gains = this.#tensor(gains, count, blocks.length);
    return toPixels(await run(this.#sessions[1], feeds), count, channels);
  }

  #tensor(values, ...shape) {
    return new this.ort.Tensor("float32", values, shape);
  }
}

async function run(session, feeds) {
  const { [session.outputNames[0]]: output } = await session.run(feeds);
  const values = await output.getData();
  output.dispose();
  return values;
}

/**
 * Images in -1..1 -> RGBA. A clamped array rounds a half to the even number, as torch.round does.
 * @param {Float32Array} images [N, channels, R, R]; one channel: grey
 */
export function toPixels(images, count, channels) {
  const area = images.length / (count * channels);
  const pixels = new Uint8ClampedArray(count * area * 4).fill(255);
  for (let image = 0; image < count; image++) {
    for (let colour = 0; colour < 3; colour++) {
      const from = (image * channels + Math.min(colour, channels - 1)) * area;
      for (let i = 0; i < area; i++) pixels[(image * area + i) * 4 + colour] = (images[from + i] + 1) * 127.5;
    }
  }
  return pixels;
}
