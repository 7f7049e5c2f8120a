/** Masks as a picture of about the size that they are seen in. */

import { blankCanvas } from "../dom.js";
import { sampleLogits } from "../logits.js";
import { sampleRuns } from "../runs.js";

/**
 * @typedef {object} Layer
 * @property {import("../masks.js").Mask|import("../runs.js").RunMask} mask
 * @property {string} colour as #rrggbb
 */

/**
 * Draw masks: filled in their colours, with their outlines.
 * @param {Layer[]} layers the last one is on top
 * @param {{width: number, height: number}} size of the clip's frames, in pixels
 * @param {number} step pixels of a frame to one of the drawing
 * @param {{opacity: number, outline: boolean}} look opacity of the fill, 0 to 1
 * @returns {HTMLCanvasElement}
 */
export function drawMasks(layers, size, step, look) {
  const { width, height } = size;
  const columns = Math.ceil(width / step);
  const rows = Math.ceil(height / step);
  const image = new ImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer);
  for (const { mask, colour } of layers) {
    if (!mask.area) continue;
    const sample = "runs" in mask
      ? sampleRuns(mask.runs, width, height, step)
      : sampleLogits(mask.logits, size, step, mask.box);
    const [x0, y0, x1, y1] = mask.box.map((side) => Math.floor(side / step));
    const window = { x0, y0, x1: Math.min(x1, columns - 1), y1: Math.min(y1, rows - 1) };
    const fill = abgr(colour, Math.round(look.opacity * 255));
    paint(pixels, sample, columns, window, fill);
    if (look.outline) paintOutline(pixels, sample, columns, rows, window, abgr(colour, 255));
  }
  const canvas = blankCanvas(columns, rows);
  canvas.getContext("2d")?.putImageData(image, 0, 0);
  return canvas;
}

/** @typedef {{x0: number, y0: number, x1: number, y1: number}} Window ends are inclusive */

/**
 * @param {Uint32Array} pixels
 * @param {Uint8Array} sample
 * @param {number} columns
 * @param {Window} window
 * @param {number} colour
 */
function paint(pixels, sample, columns, { x0, y0, x1, y1 }, colour) {
  for (let y = y0; y <= y1; y++) {
    for (let place = y * columns + x0; place <= y * columns + x1; place++) {
      if (sample[place]) pixels[place] = colour;
    }
  }
}

/**
 * Pixels on the object with one beside them that is not; the picture's border is none.
 * @param {Uint32Array} pixels
 * @param {Uint8Array} sample
 * @param {number} columns
 * @param {number} rows
 * @param {Window} window
 * @param {number} colour
 */
function paintOutline(pixels, sample, columns, rows, { x0, y0, x1, y1 }, colour) {
  for (let y = y0; y <= y1; y++) {
    for (let x = x0; x <= x1; x++) {
      const place = y * columns + x;
      if (!sample[place]) continue;
      const inside =
        (x === 0 || sample[place - 1]) &&
        (x === columns - 1 || sample[place + 1]) &&
        (y === 0 || sample[place - columns]) &&
        (y === rows - 1 || sample[place + columns]);
      if (!inside) pixels[place] = colour;
    }
  }
}

/**
 * @param {string} colour as #rrggbb
 * @param {number} alpha 0 to 255
 */
function abgr(colour, alpha) {
  const value = parseInt(colour.slice(1), 16);
  const [red, green, blue] = [value >> 16, (value >> 8) & 255, value & 255];
  return ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}
