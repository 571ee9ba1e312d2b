// The generators side by side: static/shelf.js, in a page of its own making.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

const source = readFileSync(new URL("../../resgen/studio/static/shelf.js", import.meta.url), "utf8");

const made = (tag) => ({ tag, parts: [], setAttribute() {}, getContext: () => ({}), append(...parts) { this.parts.push(...parts); } });
const moment = () => new Promise((resolve) => setTimeout(resolve, 5));
const shelved = (name, view = null) => ({ name, view, facts: [] });
const view = (name) => ({ name, columns: 1, rows: 1, captions: ["one"] });

// A shelf whose pictures come, or do not, when the test says.
function opened() {
  const page = { props: {}, pictures: new Map(), names: () => page.shown.map(({ parts }) => parts.find(({ tag }) => tag === "h3").textContent), shown: [] };
  const element = { querySelector: () => ({ replaceChildren: (...cards) => (page.shown = cards) }) };
  const pictureOf = ({ name }) => new Promise((resolve, reject) => page.pictures.set(name, { resolve, reject }));
  const given = { element, props: page.props, watch: (_, show) => (page.show = show), document: { createElement: made }, pictureOf, paintImage() {} };
  new Function(...Object.keys(given), source)(...Object.values(given));
  return page;
}

test("a picture that cannot be shown takes no other generator with it", async () => {
  const page = opened();
  page.props.value = [shelved("one", view("one")), shelved("two", view("two")), shelved("three")];
  page.show();
  page.pictures.get("one").reject(new Error("It cannot be decoded."));
  page.pictures.get("two").resolve({});
  await moment();
  assert.deepEqual(page.names(), ["one", "two", "three"]);
  assert.deepEqual(page.shown.map(({ parts }) => parts.some(({ tag }) => tag === "canvas")), [false, true, false]);
});

test("the last shelf that came is shown, though its pictures are there sooner", async () => {
  const page = opened();
  page.props.value = [shelved("old", view("old"))];
  page.show();
  page.props.value = [shelved("new", view("new"))];
  page.show();
  page.pictures.get("new").resolve({});
  await moment();
  page.pictures.get("old").resolve({});
  await moment();
  assert.deepEqual(page.names(), ["new"]);
});
