// Drawn faces without end: folders of PNGs, one for each style, with a table of what each face has.
//
//     npm ci && node make.mjs --out images && node make.mjs --out images --split test --count 500
//
// A face is a pure function of its style and its seed, so the same command makes the same images everywhere, and
// the two splits, whose seeds are spelled differently, share none.

import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createAvatar } from '@dicebear/core';
import { Resvg } from '@resvg/resvg-js';

const STYLES = ['adventurer', 'big-smile', 'lorelei', 'micah', 'open-peeps', 'personas', 'pixel-art', 'toon-head'];
const BACKGROUNDS = ['b6e3f4', 'c0aede', 'd5f2d0', 'ffd5dc', 'ffdfbf', 'ffffff'];
// Rare parts are made common enough to be learned.
const OFTEN = { glassesProbability: 30, facialHairProbability: 30, beardProbability: 30, accessoriesProbability: 35, maskProbability: 0 };
const COLUMNS = ['file', 'style', 'background', 'hair', 'skin', 'glasses', 'beard', 'smile', 'mouth'];

/** What a table can tell of every style, whatever it calls its parts; '' where a style does not know it. */
function attributes(style, seed, parts) {
  const named = (pattern, ...keys) => keys.some((key) => pattern.test(parts[key] ?? ''));
  const hasGlasses = parts.glasses !== undefined || named(/glass|eyepatch/i, 'accessories', 'eyes');
  const hasBeard = ['facialHair', 'beard'].some((key) => parts[key] !== undefined) || named(/mustache/i, 'features', 'accessories');
  return {
    file: `${style}/${seed}.png`,
    style,
    background: parts.primaryBackgroundColor,
    hair: parts.hairColor ?? parts.headContrastColor ?? '',
    skin: parts.skinColor ?? parts.baseColor ?? '',
    glasses: Number(hasGlasses),
    beard: Number(hasBeard),
    smile: smile(parts.mouth ?? parts.face ?? ''),
    mouth: parts.mouth ?? parts.face ?? '',
  };
}

/** 1 for mouths with a happy name, 0 for others; '' where mouths have only numbers. */
function smile(mouth) {
  if (!mouth || mouth.startsWith('variant')) return '';
  return Number(/smil|laugh|happy|cheek|grin|kawaii|awe|lol/i.test(mouth));
}

const { values } = parseArgs({
  options: {
    out: { type: 'string' },
    split: { type: 'string', default: 'train' },
    count: { type: 'string', default: '4000' }, // faces of each style
    size: { type: 'string', default: '64' }, // pixels a side
  },
});
const [count, size] = [Number(values.count), Number(values.size)];
if (!values.out || !(count >= 1) || !(size >= 8)) {
  console.error('Usage: node make.mjs --out FOLDER [--split train|test] [--count 4000] [--size 64]');
  process.exit(2);
}

const folder = join(values.out, values.split);
await mkdir(folder, { recursive: true });
const table = await open(join(values.out, `${values.split}.csv`), 'w');
await table.write(`${COLUMNS.join(',')}\n`);
for (const style of STYLES) {
  const drawing = await import(`@dicebear/${style}`);
  await mkdir(join(folder, style), { recursive: true });
  for (let index = 0; index < count; index++) {
    const seed = String(index).padStart(5, '0');
    const face = createAvatar(drawing, { seed: `${values.split}-${style}-${seed}`, backgroundColor: BACKGROUNDS, ...OFTEN });
    const image = new Resvg(face.toString(), { fitTo: { mode: 'width', value: size } }).render();
    await writeFile(join(folder, style, `${seed}.png`), image.asPng());
    const row = attributes(style, seed, face.toJson().extra);
    await table.write(`${COLUMNS.map((column) => row[column]).join(',')}\n`);
  }
  console.log(`${style}: ${count} faces`);
}
await table.close();
