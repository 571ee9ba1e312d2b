// A worker that draws, so that the page stays awake: it answers what renderer.js asks, one thing after another.

import { backends, fetchBytes, loadRuntime, openGenerator } from "./draw.js";

let runtime = null;
let generator = null;
let turn = Promise.resolve();

const answers = {
  open: (given, progress) =>
    open(given, progress).catch((error) => {
      runtime = null; // one that has failed to start never starts again
      throw error;
    }),
  map: ({ z, classWeights }) => generator.map(z, classWeights),
  synthesise: ({ w, gains }) => generator.synthesise(w, gains),
};

async function open({ checkpoint, sources }, progress) {
  const { mapping, synthesis, latents, ...ofRuntime } = sources;
  runtime ??= { ort: await loadRuntime(ofRuntime, progress), candidates: await backends(navigator.gpu) };
  const [forMapping, forSynthesis, forLatents] = await Promise.all([mapping, synthesis, latents].map((source) => fetchBytes(source, progress)));
  await generator?.close();
  generator = await openGenerator(runtime.ort, { mapping: forMapping, synthesis: forSynthesis }, checkpoint, runtime.candidates);
  return { backend: generator.backend, latents: forLatents.buffer };
}

async function answer({ id, ask, given }) {
  try {
    const value = await answers[ask](given, (bytes) => postMessage({ id, bytes }));
    postMessage({ id, value });
  } catch (error) {
    postMessage({ id, error: error instanceof Error ? error.message : String(error) });
  }
}

addEventListener("message", ({ data }) => {
  turn = turn.then(() => answer(data));
});
