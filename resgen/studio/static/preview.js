// Draws what is on screen, as dials turn it, in the visitor's own browser: the generator comes once, the rest is a sum of latents.
// A module of its own, which here.js fetches; served beside the scripts of the page without a server, it uses theirs.

import { backends } from "../../site/static/draw.js";
import { moveLatents } from "../../site/static/latent.js";
import { drawSeed } from "../../site/static/noise.js";
import { Renderer, withAddresses } from "../../site/static/renderer.js";

export { gainsOf } from "../../site/static/latent.js";
export { imagesOf, inWords, PLACES } from "../../site/static/renderer.js";

/** Whether this computer has a GPU that the page may use. */
export async function hasGpu() {
  return (await backends(navigator.gpu)).length > 1;
}

let only = null; // renderer: one for all generators, of which it has one at a time

/**
 * The generator that draws here from now on, once it is loaded.
 * @param {{checkpoint, graphs, runtime}} served as `drawing.Drawing` says, its addresses relative to `base`
 * @param {string} base
 * @param {(arrived: number, all: number) => void} progress as of `Renderer.open`
 */
export async function openGenerator({ checkpoint, graphs, runtime }, base, progress) {
  only ||= new Renderer(withAddresses(runtime, base));
  const { backend, checkpoint: opened } = await only.open(checkpoint, withAddresses(graphs, base), progress);
  return { renderer: only, backend, checkpoint: opened };
}

/** Let go of the generator that draws here, or that is being loaded. */
export function close() {
  only?.close();
}

/**
 * Where the images on screen stand, from what the server says of them.
 * @returns {{count: number, mapped: Float32Array, centre: Float32Array, offsets: Float32Array, own: Map<string, Float32Array>}} as `sampler.Stand`;
 * vectors of one's own directions
 */
export function readStand(told) {
  return {
    count: told.count,
    mapped: numbers(told.mapped),
    centre: numbers(told.centre),
    offsets: numbers(told.offsets),
    own: new Map(Object.entries(told.own).map(([name, packed]) => [name, numbers(packed)])),
  };
}

/**
 * Where the frames of a film stand, from what the server says of them.
 * @returns {{w: Float32Array, gains: Float32Array}} [N, blocks, wDim] and [N, blocks]
 */
export function readFilm(told) {
  return { w: numbers(told.w), gains: numbers(told.gains) };
}

function numbers(packed) {
  return new Float32Array(Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0)).buffer);
}

/**
 * The w [N, blocks, wDim] of images after dials were turned.
 * @param stand of `readStand`
 * @param {number} truncation psi
 * @param {Map<string, number>} turned how far each direction was turned from where it stood, in standard deviations
 * @param checkpoint with its latents
 */
export function moved(stand, truncation, turned, checkpoint) {
  const { wDim } = checkpoint;
  const offset = along(turned, stand, checkpoint);
  const size = stand.mapped.length / stand.count;
  return stand.mapped.map((value, at) => {
    const place = Math.floor(at / size) * wDim + (at % wDim);
    const centre = stand.centre[place];
    return centre + truncation * (value - centre) + stand.offsets[place] + offset[at % wDim];
  });
}

/**
 * The w [N, blocks, wDim] of a window of the seed plane, whose images all have the offset of the first that stands there now.
 * @param generator of `openGenerator`
 * @param points of `pointsOf`
 */
export async function wandered({ renderer, checkpoint }, points, stand, truncation, turned) {
  const w = await renderer.map(points);
  moveLatents(w, points, { truncation, directions: new Map() }, checkpoint);
  const offset = along(turned, stand, checkpoint);
  return w.map((value, at) => value + stand.offsets[at % checkpoint.wDim] + offset[at % checkpoint.wDim]);
}

/**
 * The points of a window of the seed plane, row by row, as `latents.locate` places them: noise and class of the four neighbours, blended.
 * @param {{plane: number[], columns: number, rows: number, width: number, height: number}} window plane [x, y, step]; width and height of the whole
 * @param {string} className "": drawn from the seeds
 */
export function pointsOf({ plane: [x, y, step], columns, rows, width, height }, className, { zDim, classes }) {
  const drawn = new Map();
  const corner = (column, row) => {
    const seed = modulo(column, width) + width * modulo(row, height);
    if (!drawn.has(seed)) drawn.set(seed, drawSeed(seed, zDim, classes.length));
    return drawn.get(seed);
  };
  return Array.from({ length: columns * rows }, (_, place) => {
    const [across, down] = [x + ((place % columns) - (columns - 1) / 2) * step, y + (Math.floor(place / columns) - (rows - 1) / 2) * step];
    return blended(across, down, corner, className, zDim, classes);
  });
}

function blended(x, y, corner, className, zDim, classes) {
  const [z, classWeights] = [new Float32Array(zDim), new Float32Array(classes.length)];
  for (const [i, j] of [[0, 0], [0, 1], [1, 0], [1, 1]]) {
    const [column, row] = [Math.floor(x) + i, Math.floor(y) + j];
    const share = (1 - Math.abs(x - column)) * (1 - Math.abs(y - row));
    if (!share) continue;
    const { z: noise, label } = corner(column, row);
    noise.forEach((value, k) => (z[k] += share * value));
    if (label >= 0) classWeights[label] += share;
  }
  if (className) classWeights.fill(0)[classes.indexOf(className)] = 1;
  return { z, classWeights };
}

const modulo = (value, size) => ((value % size) + size) % size;

// What turned directions add to w.
function along(turned, stand, { wDim, directions, latents }) {
  const offset = new Float32Array(wDim);
  for (const [name, amount] of turned) {
    const direction = stand.own.get(name) ?? latents.directions[directions.indexOf(name)];
    direction.forEach((value, i) => (offset[i] += amount * value));
  }
  return offset;
}
