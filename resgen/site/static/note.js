// The recipe inside a saved picture, in the text chunk that resgen/notes.py reads. Plain functions, so that they can be tried without a page.

import { writeLink } from "./link.js";

const CHUNK = "resgen";
const BEFORE = 33; // bytes of a PNG's signature and first chunk, which has to stay first

/** The note of a grid: its recipe as JSON, and the SHA-256 of the checkpoint that drew it. */
export function writeNote(state, columns, sha256) {
  const fields = Object.fromEntries(new URLSearchParams(writeLink(state)));
  return JSON.stringify({ ...fields, columns, checkpoint_sha256: sha256 });
}

/**
 * A PNG with a note inside.
 * @param {Uint8Array} png
 * @param {string} note JSON
 */
export function withNote(png, note) {
  const ascii = note.replace(/[^\x20-\x7e]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
  const body = new TextEncoder().encode(`tEXt${CHUNK}\0${ascii}`);
  const chunk = new Uint8Array(body.length + 8); // length of the data, type and data, checksum
  const view = new DataView(chunk.buffer);
  view.setUint32(0, body.length - 4);
  chunk.set(body, 4);
  view.setUint32(body.length + 4, checksum(body));
  const noted = new Uint8Array(png.length + chunk.length);
  noted.set(png.subarray(0, BEFORE));
  noted.set(chunk, BEFORE);
  noted.set(png.subarray(BEFORE), BEFORE + chunk.length);
  return noted;
}

// The CRC-32 of PNG's specification, bit by bit: a note is short.
function checksum(bytes) {
  let remainder = 0xffffffff;
  for (const byte of bytes) {
    remainder ^= byte;
    for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ (remainder & 1 ? 0xedb88320 : 0);
  }
  return ~remainder >>> 0;
}
