// What the page shows as plain data, and as the part of its address after '#'; names and texts are those of a recipe. No page is needed.

export const LIMITS = {
  images: 400,
  seed: Number.MAX_SAFE_INTEGER,
  truncation: { least: 0, most: 1.5, step: 0.01, rest: 1 },
  amount: { least: -5, most: 5, step: 0.1, rest: 0 }, // of a direction's dial, in standard deviations
  furthest: 10, // of one in a link
  gain: { least: 0, most: 2, step: 0.01, rest: 1 },
  seconds: { least: 1, most: 20, step: 0.5, rest: 4 },
};

const HARMLESS = new Set(["checkpoint", "columns", "scale", "plane_rows", "variation_strength", "variation_path"]); // they change no image, or none alone

/** What is shown of a checkpoint before anything is changed. */
export function atRest(checkpoint) {
  return {
    screen: "explore",
    checkpoint: checkpoint.name,
    seeds: range(0, 23),
    stops: range(0, 3),
    className: "", // drawn from the seed
    truncation: LIMITS.truncation.rest,
    directions: new Map(), // standard deviations by name; none: 0
    gains: [], // one for each block; none: all 1
    seconds: LIMITS.seconds.rest,
  };
}

/** The same state with another checkpoint: what that one does not have is left out. */
export function withCheckpoint(state, checkpoint) {
  return {
    ...state,
    checkpoint: checkpoint.name,
    className: checkpoint.classes.includes(state.className) ? state.className : "",
    directions: new Map([...state.directions].filter(([name]) => checkpoint.directions.includes(name))),
    gains: checkpoint.dials && state.gains.length === checkpoint.blocks.length ? state.gains : [],
  };
}

/** '0-2,42' -> [0, 1, 2, 42], in the order given. Throws an Error that says what to write instead. */
export function parseSeeds(text, least = 1) {
  const seeds = [];
  const parts = text.replace(/\s*[-–—]\s*/g, "-").split(/[,\s]+/);
  for (const part of parts.filter(Boolean)) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (!match) throw new Error(`Seeds: “${part.slice(0, 40)}” is not a seed; write whole numbers and ranges, such as 0-15,42.`);
    const [first, last] = [Number(match[1]), Number(match[2] ?? match[1])];
    if (last < first) throw new Error(`Seeds: the range ${part} runs backwards; write ${last}-${first}.`);
    if (last > LIMITS.seed) throw new Error(`Seeds: ${part} is too large; the largest seed is ${LIMITS.seed} here.`);
    if (last - first >= LIMITS.images - seeds.length) throw new Error(`Seeds: at most ${LIMITS.images} images are drawn here; write fewer.`);
    seeds.push(...range(first, last));
  }
  if (seeds.length < least) throw new Error(`Seeds: ${least === 1 ? "there are none; write whole numbers and ranges, such as 0-15,42." : `write at least ${least}, such as 0-3.`}`);
  return seeds;
}

/** [0, 1, 2, 42] -> '0-2,42'. */
export function formatSeeds(seeds) {
  const runs = [];
  for (const seed of seeds) {
    const run = runs.at(-1);
    if (run && seed === run.last + 1) run.last = seed;
    else runs.push({ first: seed, last: seed });
  }
  return runs.map(({ first, last }) => (last > first ? `${first}-${last}` : `${first}`)).join(",");
}

/** The part of the address after '#': checkpoint, seeds, and what is not at rest. */
export function writeLink(state) {
  const link = new URLSearchParams({ checkpoint: state.checkpoint, seeds: formatSeeds(state.seeds) });
  const moved = [...state.directions].filter(([, amount]) => amount);
  if (state.className) link.set("classes", escaped(state.className));
  if (state.truncation !== LIMITS.truncation.rest) link.set("truncation", state.truncation);
  if (moved.length) link.set("directions", moved.map(([name, amount]) => `${escaped(name)}=${amount}`).join(","));
  if (state.gains.some((gain) => gain !== LIMITS.gain.rest)) link.set("residual_gains", state.gains.join(","));
  if (state.screen === "walk") {
    link.set("stops", formatSeeds(state.stops));
    if (state.seconds !== LIMITS.seconds.rest) link.set("seconds", state.seconds);
  }
  return link.toString();
}

/**
 * What the part of an address after '#' says.
 * @param checkpoints the entries of site.json, at least one
 * @returns {{state, problems: string[]}} what cannot be read stays at rest, and is told in a sentence each
 */
export function readLink(text, checkpoints) {
  const link = new URLSearchParams(text);
  const problems = [];
  const named = link.get("checkpoint");
  const checkpoint = checkpoints.find(({ name }) => name === named) ?? checkpoints[0];
  if (named && checkpoint.name !== named) problems.push(`This page has no checkpoint “${named.slice(0, 40)}”.`);
  const state = atRest(checkpoint);
  const others = new Set([...link.keys()].filter((name) => link.get(name) && !HARMLESS.has(name)));
  const read = (name, reader) => {
    others.delete(name);
    if (!link.get(name)) return;
    try {
      Object.assign(state, reader(link.get(name)));
    } catch (error) {
      problems.push(error.message);
    }
  };
  read("seeds", (value) => ({ seeds: parseSeeds(value) }));
  read("classes", (value) => ({ className: oneOf(checkpoint.classes, value, "class", checkpoint) }));
  read("truncation", (value) => ({ truncation: parseNumber(value, "Truncation", LIMITS.truncation.least, LIMITS.truncation.most) }));
  read("directions", (value) => ({ directions: parseDirections(value, checkpoint) }));
  read("residual_gains", (value) => ({ gains: parseGains(value, checkpoint) }));
  read("stops", (value) => ({ stops: parseSeeds(value, 2), screen: "walk" }));
  read("seconds", (value) => ({ seconds: parseNumber(value, "Seconds", LIMITS.seconds.least, LIMITS.seconds.most) }));
  if (others.size) problems.push(`This page cannot show: ${[...others].map((name) => name.slice(0, 40)).join(", ")}.`);
  return { state, problems };
}

function parseDirections(text, checkpoint) {
  return new Map(
    text.split(",").map((part) => {
      const [name, amount] = part.split("=");
      if (!amount) throw new Error(`Directions: “${name.slice(0, 40)}” has no amount; write one behind it, such as ${name.slice(0, 40)}=2.`);
      return [oneOf(checkpoint.directions, name, "direction", checkpoint), parseNumber(amount, name, -LIMITS.furthest, LIMITS.furthest)];
    }),
  );
}

function parseGains(text, checkpoint) {
  if (!checkpoint.dials) throw new Error(`${checkpoint.name} has no blocks to dial.`);
  const gains = text.split(",").map((part) => parseNumber(part, "Gains", LIMITS.gain.least, LIMITS.gain.most));
  if (gains.length !== checkpoint.blocks.length) {
    throw new Error(`${checkpoint.name} has ${checkpoint.blocks.length} blocks, but the address gives ${gains.length} gains.`);
  }
  return gains;
}

function parseNumber(text, what, least, most) {
  const value = text?.trim() ? Number(text) : NaN;
  if (!(value >= least && value <= most)) throw new Error(`${what}: “${String(text).slice(0, 40)}” is not a number from ${least} to ${most}.`);
  return value;
}

/** A name as recipes write it: what separates names, a percent sign, and space at its ends as in addresses. */
function escaped(name) {
  return name.replace(/[%,;:=@]|^\s+|\s+$/g, encodeURIComponent);
}

function oneOf(names, text, what, checkpoint) {
  const name = names.find((known) => escaped(known) === text || known === text);
  if (name === undefined) throw new Error(`${checkpoint.name} has no ${what} “${text.slice(0, 40)}”.`);
  return name;
}

function range(first, last) {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}
