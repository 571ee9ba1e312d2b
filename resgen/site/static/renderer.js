// The page's side of worker.js: opens generators and draws points. It touches no page.

import { gainsOf, moveLatents, readLatents } from "./latent.js";

/** Where a backend draws, in words. */
export const PLACES = { webgpu: "on your GPU", wasm: "on your processor" };

/** A time as a person says it. */
export function inWords(milliseconds) {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

const BATCH = 8; // images between two looks at whether they are still wanted

export class Renderer {
  #worker = null; // one that could not be started, or has failed, is left: the next thing that is asked begins another
  #asked = new Map();
  #runtime;
  #started = false;
  #last = 0; // number of what was asked

  /** @param runtime {script, wasm}, as site.json has it, its addresses whole */
  constructor(runtime) {
    this.#runtime = runtime;
  }

  /**
   * Make a checkpoint of site.json the one that draws; one that is not open yet fails.
   * @param graphs {mapping, synthesis, latents}: each {url, bytes}
   * @param {(arrived: number, all: number) => void} progress told how many bytes have arrived, of how many
   * @returns {Promise<{checkpoint, backend: string}>} the checkpoint with its latents; "webgpu" or "wasm"
   */
  async open(checkpoint, graphs, progress) {
    const sources = { ...graphs, ...this.#runtime };
    const all = () => Object.values(this.#started ? graphs : sources).reduce((sum, { bytes }) => sum + bytes, 0); // known once the one before has ended
    let arrived = 0;
    const told = (bytes) => progress((arrived += bytes), all());
    const opening = this.#ask("open", { checkpoint, sources }, [], told);
    opening.catch(({ hasStarted = false }) => (this.#started = hasStarted));
    const { backend, latents } = await opening;
    this.#started = true;
    return { checkpoint: { ...checkpoint, latents: readLatents(latents, checkpoint) }, backend };
  }

  /**
   * Draw points in batches.
   * @param settings {truncation, directions, gains}
   * @param {number} from the first point of the batch that comes first; those before it come last
   * @yields {{first: number, pixels: Uint8ClampedArray}} RGBA [n, R, R, 4] of the points from `first` on
   */
  async *draw(points, settings, checkpoint, from) {
    const w = await this.map(points);
    moveLatents(w, points, settings, checkpoint);
    yield* this.synthesise(w, gainsOf(settings.gains, points.length, checkpoint), checkpoint, from);
  }

  /** The w [N, blocks, wDim] of points {z, classWeights}, as the mapping gives it. */
  map(points) {
    const [z, classWeights] = [joined(points.map((point) => point.z)), joined(points.map((point) => point.classWeights))];
    return this.#ask("map", { z, classWeights }, [z.buffer, classWeights.buffer]);
  }

  /**
   * Draw latents in batches.
   * @param {Float32Array} w [N, blocks, wDim]
   * @param {Float32Array} gains [N, blocks], as `gainsOf` gives them
   * @param {number} from as of `draw`, and yields the same
   */
  async *synthesise(w, gains, checkpoint, from) {
    const blocks = checkpoint.blocks.length;
    const partOf = (values, size, start) => values.slice(start * size, (start + BATCH) * size);
    for (const start of startsOf(gains.length / blocks, from)) {
      const part = { w: partOf(w, blocks * checkpoint.wDim, start), gains: partOf(gains, blocks, start) };
      const pixels = await this.#ask("synthesise", part, [part.w.buffer, part.gains.buffer]); // oxlint-disable-line no-await-in-loop -- it may end before
      yield { first: start, pixels };
    }
  }

  /** Let go of all that was loaded; who waits for something is told. What is asked next begins anew. */
  close() {
    this.#fail("What draws was stopped.");
  }

  #begin() {
    const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    worker.addEventListener("message", ({ data }) => this.#hear(data));
    worker.addEventListener("error", (event) => this.#fail(event.message || "The script that draws could not be started; reload the page."));
    return worker;
  }

  #ask(ask, given, transferred, progress = null) {
    this.#worker ??= this.#begin();
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve, reject, progress });
      this.#worker.postMessage({ id, ask, given }, transferred);
    });
  }

  #hear({ id, value, error, bytes, hasStarted }) {
    const asked = this.#asked.get(id);
    if (!asked) return; // the rest of what could not be loaded whole
    if (bytes !== undefined) {
      asked.progress(bytes);
      return;
    }
    this.#asked.delete(id);
    if (error === undefined) asked.resolve(value);
    else asked.reject(Object.assign(new Error(error), { hasStarted }));
  }

  #fail(sentence) {
    for (const { reject } of this.#asked.values()) reject(new Error(sentence));
    this.#asked.clear();
    this.#worker?.terminate();
    [this.#worker, this.#started] = [null, false];
  }
}

/** Sources {name: {url, bytes}} with whole addresses in place of those relative to `base`. */
export function withAddresses(sources, base) {
  return Object.fromEntries(Object.entries(sources).map(([name, source]) => [name, { ...source, url: new URL(source.url, base).href }]));
}

/** RGBA [N, side, side, 4] -> an ImageData for each image. */
export function imagesOf(pixels, side) {
  const size = side * side * 4;
  return Array.from({ length: pixels.length / size }, (_, place) => new ImageData(pixels.slice(place * size, (place + 1) * size), side, side));
}

/** The first point of each batch, in the order in which they are drawn: from `from` on, then those before it. */
export function startsOf(count, from) {
  const starts = Array.from({ length: Math.ceil(count / BATCH) }, (_, batch) => batch * BATCH);
  return [...starts.filter((start) => start >= from), ...starts.filter((start) => start < from)];
}

function joined(rows) {
  const all = new Float32Array(rows.reduce((sum, row) => sum + row.length, 0));
  let at = 0;
  for (const row of rows) {
    all.set(row, at);
    at += row.length;
  }
  return all;
}
