// What waits for the studio's view: static/waits.js.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

const source = readFileSync(new URL("../../resgen/studio/static/waits.js", import.meta.url), "utf8");
const makeWaits = new Function(`${source}; return makeWaits;`)();

function opened(context) {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const done = [];
  return { waits: makeWaits(1000), done, act: (name) => () => done.push(name), pass: (milliseconds) => context.mock.timers.tick(milliseconds) };
}

test("where the view says what is on screen, a deed is done at once", (context) => {
  const { waits, done, act } = opened(context);
  waits.once(act("pin"));
  assert.deepEqual(done, ["pin"]);
});

test("what is asked for under a hand is done in its order once the view has come, and no second time", (context) => {
  const { waits, done, act, pass } = opened(context);
  waits.begin();
  waits.once(act("pin"));
  waits.once(act("copy"));
  assert.deepEqual(done, []);
  waits.end();
  pass(5000);
  assert.deepEqual(done, ["pin", "copy"]);
  waits.once(act("more"));
  assert.deepEqual(done, ["pin", "copy", "more"]);
});

test("a view that does not come is waited for since the last picture under the hand", (context) => {
  const { waits, done, act, pass } = opened(context);
  waits.begin();
  waits.once(act("pin"));
  pass(900);
  waits.begin(); // the hand turns on
  pass(900);
  assert.deepEqual(done, []);
  pass(100);
  assert.deepEqual(done, ["pin"]);
});
