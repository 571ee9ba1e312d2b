// Whether what draws in the page is worth fetching: static/worth.js.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

const source = readFileSync(new URL("../../resgen/studio/static/worth.js", import.meta.url), "utf8");
const { isSlow, isMetered } = new Function(`${source}; return { isSlow, isMetered };`)();

test("a server that answers at once is as good as any GPU, and a slow one is not", () => {
  assert.ok(!isSlow(20, true) && !isSlow(20, false));
  assert.ok(isSlow(300, true) && !isSlow(300, false));
  assert.ok(isSlow(1000, true) && isSlow(1000, false));
});

test("nothing is fetched unasked where megabytes may be paid for, or take long", () => {
  for (const connection of [{ saveData: true }, { type: "cellular", effectiveType: "4g" }, { effectiveType: "slow-2g" }, { effectiveType: "3g" }]) {
    assert.ok(isMetered(connection, false), JSON.stringify(connection));
  }
  assert.ok(!isMetered({ saveData: false, type: "wifi", effectiveType: "4g" }, true));
});

test("where the browser does not tell, a phone counts as one that pays", () => {
  assert.equal(isMetered(undefined, true), true);
  assert.equal(isMetered(undefined, false), false);
});
