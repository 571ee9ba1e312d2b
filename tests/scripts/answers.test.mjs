import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

const script = new URL("../../resgen/studio/static/answers.js", import.meta.url);
const change = new Function(`return ${readFileSync(script, "utf8").replace(/^\/\/.*\n/gm, "")}`)();

// A page beside a server whose streams and answers come when the test says.
function opened(joined = Promise.resolve(), cancelled = (body) => new Response(body)) {
  const streams = [];
  const signs = new Set();
  const page = {
    document: { querySelector: () => ({ setAttribute: (name, value) => (signs[value === "true" ? "add" : "delete"](name)) }), body: { classList: { add: (name) => signs.add(name), remove: (name) => signs.delete(name) } } },
    location: "http://studio/",
    fetch: async (input, init) => {
      const url = new URL(input.url ?? input);
      if (url.pathname === "/queue/join") return joined.then(() => Response.json({ event_id: JSON.parse(init.body).number }));
      if (url.pathname === "/upload") return joined.then(() => new Response());
      if (url.pathname === "/cancel") return cancelled(init.body);
      if (url.pathname !== "/queue/data") return new Response("else");
      const { readable, writable } = new TransformStream();
      const writer = writable.getWriter();
      streams.push({ say: (words) => writer.write(new TextEncoder().encode(words)), end: () => writer.close() });
      return new Response(readable);
    },
  };
  change(page);
  const join = (number) => page.fetch("http://studio/queue/join", { method: "POST", body: JSON.stringify({ fn_index: 7, number }) });
  return { page, streams, join, signs };
}

const completed = (number) => `data: {"msg":"process_completed","event_id":"${number}","output":{"data":["ä"]}}\n`;
const CLOSE = 'data: {"msg":"close_stream","event_id":null}\n';
const moment = () => new Promise((resolve) => setTimeout(resolve, 5));

async function until(met) {
  for (const end = Date.now() + 5000; !met(); await moment()) assert.ok(Date.now() < end, `${met}`);
}

function heard(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  const found = { text: "" };
  void (async () => {
    for (let part = await reader.read(); !part.done; part = await reader.read()) found.text += part.value;
  })().catch((error) => (found.error = error));
  return found;
}

test("a stream that ends while an answer is owed is joined by the next", async () => {
  const { page, streams, join } = opened();
  await join("a");
  const found = heard(await page.fetch("http://studio/queue/data"));
  await streams[0].say(completed("a"));
  await join("b"); // its number is told before the end of the stream is heard
  await streams[0].say(CLOSE);
  await streams[0].end();
  await until(() => streams.length === 2);
  await streams[1].say(completed("b"));
  await until(() => found.text === completed("a") + completed("b"));
});

test("nothing is asked while nothing is owed, and then once", async () => {
  const { page, streams, join } = opened();
  await join("a");
  const found = heard(await page.fetch("http://studio/queue/data"));
  const bytes = completed("a") + CLOSE;
  for (const character of bytes) await streams[0].say(character); // in pieces
  await streams[0].end();
  await moment();
  assert.equal(streams.length, 1);
  await join("b");
  await join("c");
  await until(() => streams.length === 2);
  await streams[1].say(completed("c") + completed("b") + CLOSE);
  await streams[1].end();
  await until(() => found.text === completed("a") + completed("c") + completed("b"));
  assert.equal(streams.length, 2);
});

test("an answer that comes before its number is told is not owed", async () => {
  const { page, streams, join } = opened();
  const found = heard(await page.fetch("http://studio/queue/data"));
  await streams[0].say(completed("a") + CLOSE);
  await streams[0].end();
  await until(() => found.text === completed("a"));
  await join("a");
  await moment();
  assert.equal(streams.length, 1);
});

test("what fails is said, and what is no answer is left alone", async () => {
  const { page, streams, join } = opened();
  assert.equal(await (await page.fetch("http://studio/theme.css")).text(), "else");
  const found = heard(await page.fetch("http://studio/queue/data"));
  await streams[0].end();
  streams.push = () => {
    throw new Error("the server is gone");
  };
  await join("a");
  await until(() => found.error);
});

test("what is cancelled before its number is told is cancelled once it is", async () => {
  let answer;
  const { page, join } = opened(new Promise((resolve) => (answer = resolve)));
  const cancel = async (number) => (await page.fetch("http://studio/cancel", { method: "POST", body: JSON.stringify({ fn_index: 7, event_id: number }) })).json();
  void join("a");
  const cancelled = cancel(null);
  answer();
  assert.deepEqual(await cancelled, { fn_index: 7, event_id: "a" });
  assert.deepEqual(await cancel("b"), { fn_index: 7, event_id: "b" });
});

test("what is asked after a cancelling waits until that was heard", async () => {
  let answer;
  const { page, join } = opened(new Promise((resolve) => (answer = resolve)));
  const order = [];
  void join("a").then(() => order.push("work"));
  void page.fetch("http://studio/cancel", { method: "POST", body: JSON.stringify({ fn_index: 7, event_id: null }) }).then(() => order.push("cancelled"));
  const later = join("b").then(() => order.push("later"));
  await moment();
  assert.deepEqual(order, []);
  answer();
  await later;
  assert.deepEqual(order, ["work", "cancelled", "later"]);
});

test("a cancelling that does not arrive holds nothing up", async () => {
  const { page, join } = opened(Promise.resolve(), () => Promise.reject(new TypeError("offline")));
  await join("a");
  await assert.rejects(page.fetch("http://studio/cancel", { method: "POST", body: JSON.stringify({ fn_index: 7, event_id: "a" }) }));
  assert.equal((await (await join("b")).json()).event_id, "b");
});

test("a file that is on its way is told until all are there", async () => {
  let answer;
  const { page, signs } = opened(new Promise((resolve) => (answer = resolve)));
  const sent = [1, 2].map(() => page.fetch("http://studio/upload", { method: "POST" }));
  assert.ok(signs.has("aria-busy"));
  answer();
  await Promise.all(sent);
  assert.equal(signs.size, 0);
});
