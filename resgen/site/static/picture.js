// Pictures on a canvas: a grid of images, and a film of them. Images are ImageData of the generator's own size.

import { arrange } from "./layout.js";

const GAP = 2; // pixels between images
const SAVED_SIDE = 128; // pixels a side to which small images are enlarged, by a whole factor, where they are saved
const single = document.createElement("canvas"); // one image: enlarged alone, it takes nothing of its neighbours

/** What shows images in a pane: `paint` draws image `index` again, `layOut` fits the canvas into the pane. */
class Picture {
  constructor(pane, canvas) {
    this.pane = pane;
    this.canvas = canvas;
    this.images = [];
    new ResizeObserver(() => this.layOut()).observe(pane);
  }

  get shown() {
    return this.images.length > 0;
  }

  /** Whether each image is there, be it of an earlier drawing. */
  get complete() {
    return !this.images.includes(null);
  }

  /** Make room for so many images; what was there stays where their number does not change. */
  begin(count) {
    if (count === this.images.length) return;
    this.images = Array(count).fill(null);
    this.layOut();
  }

  put(index, image) {
    this.images[index] = image;
    this.paint(index);
  }

  resizeCanvas(columns, rows, side) {
    const ratio = window.devicePixelRatio;
    const [width, height] = [columns, rows].map((count) => count * (side + GAP) - GAP);
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    const context = this.canvas.getContext("2d");
    context.scale(this.canvas.width / width, this.canvas.height / height);
    context.imageSmoothingQuality = "high";
    return context;
  }
}

export class Grid extends Picture {
  layOut() {
    const { clientWidth, clientHeight } = this.pane;
    if (!this.shown || !clientWidth || this.canvas.hidden) return;
    Object.assign(this, arrange(this.images.length, clientWidth, clientHeight, GAP));
    this.context = this.resizeCanvas(this.columns, this.rows, this.side);
    this.images.forEach((_, index) => this.paint(index));
  }

  paint(index) {
    if (!this.images[index] || !this.context || this.canvas.hidden) return;
    const [column, row] = [index % this.columns, Math.floor(index / this.columns)];
    drawImage(this.context, this.images[index], column * (this.side + GAP), row * (this.side + GAP), this.side);
  }

  /** A canvas of all images edge to edge, each enlarged by a whole factor, so that every pixel is as the generator made it. */
  toSave() {
    return composed(this.images, this.columns);
  }
}

export class Film extends Picture {
  #began = 0;
  frame = 0;
  playing = false;
  seconds = 1;

  layOut() {
    const side = Math.min(this.pane.clientWidth, this.pane.clientHeight);
    if (!this.shown || side <= 0 || this.canvas.hidden) return;
    this.side = side;
    this.context = this.resizeCanvas(1, 1, side);
    this.paint(this.frame);
  }

  paint(index) {
    if (index === this.frame && this.images[index] && this.context) drawImage(this.context, this.images[index], 0, 0, this.side);
  }

  begin(count, seconds) {
    this.frame = Math.min(this.frame, count - 1);
    this.seconds = seconds;
    super.begin(count);
    this.play(this.playing);
  }

  play(playing) {
    this.playing = playing;
    this.#began = performance.now() - (this.frame / this.images.length) * this.seconds * 1000;
  }

  show(frame) {
    this.frame = frame;
    this.paint(frame);
  }

  /** Show the frame whose time has come, where it plays; frames still to be drawn are waited for. */
  tick(now) {
    if (!this.playing || !this.shown) return;
    const drawn = this.images.includes(null) ? this.images.indexOf(null) : this.images.length;
    const due = Math.floor(((now - this.#began) / 1000 / this.seconds) * this.images.length) % this.images.length;
    const next = Math.min(Math.max(0, due), drawn - 1);
    if (drawn && next !== this.frame) this.show(next);
  }

  /** A canvas of one frame. */
  toSave(frame) {
    return composed([this.images[Math.min(frame, this.images.length - 1)]], 1);
  }
}

function drawImage(context, image, x, y, side) {
  single.width = image.width;
  single.height = image.height;
  single.getContext("2d").putImageData(image, 0, 0);
  context.drawImage(single, x, y, side, side);
}

function composed(images, columns) {
  const side = images[0].width * Math.max(1, Math.floor(SAVED_SIDE / images[0].width));
  const canvas = document.createElement("canvas");
  canvas.width = columns * side;
  canvas.height = Math.ceil(images.length / columns) * side;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  images.forEach((image, index) => drawImage(context, image, (index % columns) * side, Math.floor(index / columns) * side, side));
  return canvas;
}
