// The noise of a seed, equal to torch.randn with a CPU generator: mt19937 (Matsumoto & Nishimura 1998), then Box & Muller's transform.
// Plain functions, so that they can be tried without a page.

const STATE = 624; // words of the twister's state
const SHIFT = 397;
const BLOCK = 16; // numbers that are transformed together

/**
 * The noise of a seed, and the class that it draws.
 * @param {number} seed a whole number, 0 to 2^53 - 1; its low 32 bits count
 * @param {number} zDim how many numbers
 * @param {number} numClasses 0: unconditional
 * @returns {{z: Float32Array, label: number}} z [zDim]; the class's index, -1 where unconditional
 */
export function drawSeed(seed, zDim, numClasses) {
  const random = twister(seed % 2 ** 32);
  const z = zDim < BLOCK ? fewNormal(zDim, random) : manyNormal(zDim, random);
  return { z, label: numClasses ? random() % numClasses : -1 };
}

// A source of whole numbers below 2^32.
function twister(seed) {
  const state = new Uint32Array(STATE);
  state[0] = seed;
  for (let i = 1; i < STATE; i++) state[i] = Math.imul(1812433253, state[i - 1] ^ (state[i - 1] >>> 30)) + i;
  let next = STATE;
  return () => {
    if (next === STATE) {
      twist(state);
      next = 0;
    }
    let word = state[next++];
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    return (word ^ (word >>> 18)) >>> 0;
  };
}

function twist(state) {
  for (let i = 0; i < STATE; i++) {
    const joined = (state[i] & 0x80000000) | (state[(i + 1) % STATE] & 0x7fffffff);
    state[i] = state[(i + SHIFT) % STATE] ^ (joined >>> 1) ^ (joined & 1 ? 0x9908b0df : 0);
  }
}

// From 16 numbers on: single precision, block by block. Where the blocks do not come out even, the last sixteen numbers are drawn anew.
function manyNormal(count, random) {
  const uniform = () => (random() & 0xffffff) / 2 ** 24;
  const values = Float32Array.from({ length: count }, uniform);
  for (let start = 0; start + BLOCK <= count; start += BLOCK) transform(values.subarray(start, start + BLOCK));
  if (count % BLOCK) {
    const last = values.subarray(count - BLOCK);
    for (let i = 0; i < BLOCK; i++) last[i] = uniform();
    transform(last);
  }
  return values;
}

// Sixteen uniform numbers -> normal ones, in place: number i with number i + 8.
function transform(block) {
  for (let i = 0; i < BLOCK / 2; i++) {
    const radius = Math.sqrt(-2 * Math.log(1 - block[i]));
    const angle = 2 * Math.PI * block[i + BLOCK / 2];
    block[i] = radius * Math.cos(angle);
    block[i + BLOCK / 2] = radius * Math.sin(angle);
  }
}

// Fewer than 16: pair by pair, in double precision.
function fewNormal(count, random) {
  const uniform = () => ((random() % 2 ** 21) * 2 ** 32 + random()) / 2 ** 53;
  const values = new Float32Array(count);
  for (let i = 0; i < count; i += 2) {
    const angle = 2 * Math.PI * uniform();
    const radius = Math.sqrt(-2 * Math.log1p(-uniform()));
    values[i] = radius * Math.cos(angle);
    if (i + 1 < count) values[i + 1] = radius * Math.sin(angle);
  }
  return values;
}
