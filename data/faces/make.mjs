// Drawn faces without end: folders of PNGs, one for each style, with a table of what each face is made of.
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
// What a face is made of, and what the styles call it; 'key@style' is that style's alone.
const PARTS = {
  background: ['primaryBackgroundColor'],
  hair: ['hairColor', 'headContrastColor'],
  skin: ['skinColor', 'baseColor'],
  'hair style': ['hair', 'head@open-peeps'],
  'rear hair': ['rearHair'],
  hat: ['hat', 'hairAccessories'],
  'hat colour': ['hatColor@pixel-art'],
  'head shape': ['head@lorelei', 'ears'],
  eyes: ['eyes', 'face@open-peeps'],
  'eye colour': ['eyesColor@pixel-art', 'eyeShadowColor'],
  eyebrows: ['eyebrows'],
  nose: ['nose'],
  mouth: ['mouth'],
  'mouth colour': ['mouthColor@pixel-art'],
  glasses: ['glasses', 'accessories@open-peeps', 'accessories@big-smile'],
  'glasses colour': ['glassesColor@pixel-art', 'glassesColor@micah'],
  beard: ['beard', 'facialHair', 'features@adventurer'],
  clothes: ['shirt', 'clothing', 'clothes', 'body@personas'],
  'clothes colour': ['shirtColor', 'clothingColor', 'clothesColor'],
  earrings: ['earrings', 'accessories@pixel-art'],
  'earring colour': ['earringColor', 'accessoriesColor@pixel-art'],
  freckles: ['freckles'],
};

/** The cell of one column: '' for what a face has not, or its style does not know; a colour as '#rrggbb'. */
function cell(style, drawn, keys) {
  const known = keys.map((key) => key.split('@')).filter(([, only]) => only === undefined || only === style);
  const part = known.map(([key]) => drawn[key]).find((value) => value !== undefined) ?? '';
  return part.startsWith('#') ? part.slice(0, 7) : part;
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
await table.write(`${['file', 'style', ...Object.keys(PARTS)].join(',')}\n`);
for (const style of STYLES) {
  const drawing = await import(`@dicebear/${style}`);
  await mkdir(join(folder, style), { recursive: true });
  for (let index = 0; index < count; index++) {
    const seed = String(index).padStart(5, '0');
    const face = createAvatar(drawing, { seed: `${values.split}-${style}-${seed}`, backgroundColor: BACKGROUNDS, ...OFTEN });
    const image = new Resvg(face.toString(), { fitTo: { mode: 'width', value: size } }).render();
    await writeFile(join(folder, style, `${seed}.png`), image.asPng());
    const drawn = face.toJson().extra;
    const cells = Object.values(PARTS).map((keys) => cell(style, drawn, keys));
    await table.write(`${[`${style}/${seed}.png`, style, ...cells].join(',')}\n`);
  }
  console.log(`${style}: ${count} faces`);
}
await table.close();
