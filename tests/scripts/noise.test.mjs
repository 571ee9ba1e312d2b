// What resgen/site/static/noise.js draws of seeds, beside what PyTorch draws: DRAWN names a file of {seed, numClasses, z, label}.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { drawSeed } from "../../resgen/site/static/noise.js";

test("noise and class of a seed are PyTorch's", () => {
  const rows = JSON.parse(readFileSync(process.env.DRAWN, "utf8"));
  assert.ok(rows.length);
  for (const { seed, numClasses, z, label } of rows) {
    const drawn = drawSeed(seed, z.length, numClasses);
    assert.equal(drawn.label, label, `class of seed ${seed}, ${z.length} numbers`);
    assert.ok(drawn.z.every((value, i) => Math.abs(value - z[i]) < 1e-5), `noise of seed ${seed}, ${z.length} numbers`);
  }
});
