// Points in latent space, as resgen/latents.py places them: noise and class of each image, ways between them, and what truncation,
// directions and gains make of w. A `checkpoint` is an entry of site.json, its `latents` read by readLatents. No page is needed.

import { drawSeed } from "./noise.js";

/**
 * The mean w of each class and the directions, from the file that lies beside the graphs: float32, row by row.
 * @returns {{meanW: Float32Array[], directions: Float32Array[]}} rows of wDim numbers; means are one for each class, at least one
 */
export function readLatents(buffer, checkpoint) {
  const { wDim, classes, directions } = checkpoint;
  const means = Math.max(1, classes.length);
  const row = (index) => new Float32Array(buffer, index * wDim * 4, wDim);
  return {
    meanW: Array.from({ length: means }, (_, index) => row(index)),
    directions: directions.map((_, index) => row(means + index)),
  };
}

/**
 * One point for each seed.
 * @param {number[]} seeds
 * @param {string} className "": drawn from the seed
 * @returns {{z: Float32Array, classWeights: Float32Array}[]} z [zDim]; class weights [classes], summing to 1, none where unconditional
 */
export function locate(seeds, className, checkpoint) {
  const { zDim, classes } = checkpoint;
  return seeds.map((seed) => {
    const { z, label } = drawSeed(seed, zDim, classes.length);
    const classWeights = new Float32Array(classes.length);
    if (classes.length) classWeights[className ? classes.indexOf(className) : label] = 1;
    return { z, classWeights };
  });
}

/**
 * Points on the way round a ring of stops; at 1.5 half-way from the second to the third. Noise turns, classes move in a straight line.
 * @param {number[]} positions 0 <= position < stops.length
 */
export function walk(stops, positions) {
  return positions.map((position) => {
    const start = Math.floor(position);
    const [before, after, share] = [stops[start], stops[(start + 1) % stops.length], position - start];
    return { z: slerp(before.z, after.z, share), classWeights: lerp(before.classWeights, after.classWeights, share) };
  });
}

/** Where each frame of a film round a ring of stops stands, evenly. */
export function positionsOf(frames, stops) {
  return Array.from({ length: frames }, (_, frame) => (stops * frame) / frames);
}

/** Spherical interpolation (Shoemake 1985); 0 gives a, 1 gives b. */
export function slerp(a, b, share) {
  const cosine = dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  if (angle < 1e-4) return lerp(a, b, share);
  const [ofA, ofB] = [Math.sin((1 - share) * angle) / Math.sin(angle), Math.sin(share * angle) / Math.sin(angle)];
  return a.map((value, i) => ofA * value + ofB * b[i]);
}

/**
 * Draw w towards the mean of its class by psi (Karras et al. 2019, section B), and move it along directions; in place.
 * @param {Float32Array} w [N, blocks, wDim], as the mapping gives it
 * @param {{classWeights: Float32Array}[]} points N of them
 * @param {{truncation: number, directions: Map<string, number>}} settings psi, and standard deviations by the direction's name
 */
export function moveLatents(w, points, settings, checkpoint) {
  const { wDim, latents } = checkpoint;
  const offset = offsetAlong(settings.directions, checkpoint);
  const size = w.length / points.length;
  points.forEach(({ classWeights }, index) => {
    const mean = classWeights.length ? weigh(latents.meanW, classWeights) : latents.meanW[0];
    for (let i = 0; i < size; i++) {
      const at = index * size + i;
      const of = mean[i % wDim];
      w[at] = of + settings.truncation * (w[at] - of) + offset[i % wDim];
    }
  });
}

/**
 * The gains [N, blocks] of N images.
 * @param {number[]} gains one for each block; none: all are 1
 */
export function gainsOf(gains, count, checkpoint) {
  const blocks = checkpoint.blocks.length;
  return Float32Array.from({ length: count * blocks }, (_, i) => gains[i % blocks] ?? 1);
}

function offsetAlong(amounts, checkpoint) {
  const { directions, latents, wDim } = checkpoint;
  const weights = directions.map((name) => amounts.get(name) ?? 0);
  return weights.some(Boolean) ? weigh(latents.directions, weights) : new Float32Array(wDim);
}

// The sum of rows, each times its weight.
function weigh(rows, weights) {
  const sum = new Float32Array(rows[0].length);
  rows.forEach((row, index) => {
    if (weights[index]) row.forEach((value, i) => (sum[i] += weights[index] * value));
  });
  return sum;
}

function dot(a, b) {
  return a.reduce((sum, value, i) => sum + value * b[i], 0);
}

function lerp(a, b, share) {
  return a.map((value, i) => value + share * (b[i] - value));
}
