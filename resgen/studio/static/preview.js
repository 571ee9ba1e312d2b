// Draws what is on screen, as dials turn it, in the visitor's own browser: the generator comes once, the rest is a sum of latents.
// A module of its own, which here.js fetches; served beside the scripts of the page without a server, it uses theirs.

import { backends } from "../../site/static/draw.js";
import { Renderer } from "../../site/static/renderer.js";

/** Whether this computer has a GPU that the page may use. */
export async function hasGpu() {
  return (await backends(navigator.gpu)).length > 1;
}

/**
 * A generator that draws here, once it is loaded.
 * @param {{checkpoint, graphs, runtime}} served as `drawing.Drawing` says, its addresses relative to `base`
 * @param {string} base
 */
export async function openGenerator({ checkpoint, graphs, runtime }, base) {
  const whole = (sources) => Object.fromEntries(Object.entries(sources).map(([name, source]) => [name, { ...source, url: new URL(source.url, base).href }]));
  const renderer = new Renderer(whole(runtime));
  const { backend, checkpoint: opened } = await renderer.open(checkpoint, whole(graphs), () => {});
  return { renderer, backend, checkpoint: opened };
}

/**
 * Where the images on screen stand, from what the server says of them.
 * @returns {{count: number, mapped: Float32Array, centre: Float32Array, offsets: Float32Array, own: Map<string, Float32Array>}} as `sampler.Stand`;
 * vectors of one's own directions
 */
export function readStand(told) {
  const numbers = (packed) => new Float32Array(Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0)).buffer);
  return {
    count: told.count,
    mapped: numbers(told.mapped),
    centre: numbers(told.centre),
    offsets: numbers(told.offsets),
    own: new Map(Object.entries(told.own).map(([name, packed]) => [name, numbers(packed)])),
  };
}

/** RGBA [N, side, side, 4] -> an ImageData for each image. */
export function imagesOf(pixels, side) {
  const size = side * side * 4;
  return Array.from({ length: pixels.length / size }, (_, place) => new ImageData(pixels.slice(place * size, (place + 1) * size), side, side));
}

/**
 * The w [N, blocks, wDim] of images after dials were turned.
 * @param stand of `readStand`
 * @param {number} truncation psi
 * @param {Map<string, number>} turned how far each direction was turned from where it stood, in standard deviations
 * @param checkpoint with its latents
 */
export function moved(stand, truncation, turned, { wDim, directions, latents }) {
  const offset = new Float32Array(wDim);
  for (const [name, amount] of turned) {
    const along = stand.own.get(name) ?? latents.directions[directions.indexOf(name)];
    for (let i = 0; i < wDim; i++) offset[i] += amount * along[i];
  }
  const size = stand.mapped.length / stand.count;
  return stand.mapped.map((value, at) => {
    const place = Math.floor(at / size) * wDim + (at % wDim);
    const centre = stand.centre[place];
    return centre + truncation * (value - centre) + stand.offsets[place] + offset[at % wDim];
  });
}
