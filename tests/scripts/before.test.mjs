// Before and after: static/before.js.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

const source = readFileSync(new URL("../../resgen/studio/static/before.js", import.meta.url), "utf8");
const makeBefore = new Function(`${source}; return makeBefore;`)();

const viewOf = (query, keys = ["a"]) => ({ query, keys });

function opened() {
  const heard = [];
  return { heard, before: makeBefore({ ask: () => heard.push("ask"), repaint: () => heard.push("repaint") }) };
}

test("what was there before is asked for once, and seen while it is held, once it has come", () => {
  const { heard, before } = opened();
  const turned = viewOf("truncation=0.5");
  before.hold(true, turned);
  before.hold(true, turned);
  assert.deepEqual(heard, ["ask", "repaint"]);
  assert.equal(before.seen(turned), null);
  const original = { view: viewOf("") };
  before.take(original);
  assert.deepEqual(heard, ["ask", "repaint", "repaint"]);
  assert.equal(before.seen(turned), original);
  before.hold(false, turned);
  assert.equal(before.seen(turned), null);
  before.hold(true, viewOf("truncation=0.7"));
  assert.deepEqual(heard, ["ask", "repaint", "repaint", "repaint", "repaint"], "it is known already");
});

test("other images, or those along another direction, are another picture", () => {
  const { before } = opened();
  const strip = viewOf("sweep=hats&own_directions=x");
  before.hold(true, strip);
  before.take({ view: strip });
  assert.ok(before.seen(viewOf("sweep=hats&own_directions=x&truncation=0.5")));
  for (const other of [viewOf("sweep=hats&own_directions=x", ["b"]), viewOf("sweep=age&own_directions=x"), viewOf("sweep=hats&own_directions=y")]) {
    assert.equal(before.seen(other), null, other.query);
  }
});
