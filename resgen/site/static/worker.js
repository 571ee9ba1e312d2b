// A worker that draws, so that the page stays awake: it answers what renderer.js asks, one thing after another. A generator that is asked for ends the
// fetching of the one before.

import { backends, fetchBytes, loadRuntime, openGenerator } from "./draw.js";

let runtime = null;
let generator = null;
let fetching = null; // ends that of the generator that was asked for last
let turn = Promise.resolve();

const answers = {
  open: (given, progress) =>
    open(given, progress).catch((error) => {
      if (!given.signal.aborted) runtime = null; // one that has failed to start never starts again
      throw error;
    }),
  map: ({ z, classWeights }) => generator.map(z, classWeights),
  synthesise: ({ w, gains }) => generator.synthesise(w, gains),
};

async function open({ checkpoint, sources, signal }, progress) {
  const { mapping, synthesis, latents, ...ofRuntime } = sources;
  runtime ??= { ort: await loadRuntime(ofRuntime, progress), candidates: await backends(navigator.gpu) };
  const [forMapping, forSynthesis, forLatents] = await Promise.all([mapping, synthesis, latents].map((source) => fetchBytes(source, progress, signal)));
  await generator?.close();
  generator = await openGenerator(runtime.ort, { mapping: forMapping, synthesis: forSynthesis }, checkpoint, runtime.candidates);
  return { backend: generator.backend, latents: forLatents.buffer };
}

async function answer({ id, ask, given }) {
  try {
    const value = await answers[ask](given, (bytes) => postMessage({ id, bytes }));
    postMessage({ id, value });
  } catch (error) {
    postMessage({ id, error: error instanceof Error ? error.message : String(error), hasStarted: runtime !== null });
  }
}

addEventListener("message", ({ data }) => {
  if (data.ask === "open") {
    fetching?.abort();
    fetching = new AbortController();
    data.given.signal = fetching.signal;
  }
  turn = turn.then(() => answer(data));
});
