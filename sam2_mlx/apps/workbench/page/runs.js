/** Masks as run lengths down the columns, zeros first, as the encoding `rle` has them. */

/**
 * @typedef {object} RunMask
 * @property {number} object
 * @property {Uint32Array} runs
 * @property {number} area in pixels
 * @property {[number, number, number, number]} box x0, y0, x1, y1; the ends are exclusive
 * @property {number} iou
 */

/**
 * The masks of an answer.
 * @param {import("./socket.js").Message} message
 * @returns {RunMask[]}
 */
export function readRuns({ fields, blob }) {
  return fields.objects.map((/** @type {any} */ one) => ({
    ...one,
    runs: new Uint32Array(blob.slice(one.offset, one.offset + one.bytes).buffer),
  }));
}

/**
 * Sample a mask at every `step`-th pixel.
 * @param {Uint32Array} runs
 * @param {number} width of the mask, in pixels
 * @param {number} height
 * @param {number} step
 * @returns {Uint8Array} ceil(width / step) × ceil(height / step), row by row, 1 on the object
 */
export function sampleRuns(runs, width, height, step = 1) {
  const columns = Math.ceil(width / step);
  const sample = new Uint8Array(columns * Math.ceil(height / step));
  let end = 0;
  for (let index = 0; index < runs.length; index++) {
    const start = end;
    end += runs[index];
    if (index % 2 === 0) continue;
    const firstColumn = Math.ceil(Math.floor(start / height) / step) * step;
    for (let x = firstColumn; x * height < end; x += step) {
      const top = Math.max(start - x * height, 0);
      const bottom = Math.min(end - x * height, height);
      let place = Math.ceil(top / step) * columns + x / step;
      for (let y = Math.ceil(top / step) * step; y < bottom; y += step) {
        sample[place] = 1;
        place += columns;
      }
    }
  }
  return sample;
}

/**
 * Whether a pixel is on the object.
 * @param {Uint32Array} runs
 * @param {number} height of the mask
 * @param {number} x
 * @param {number} y
 */
export function isOn(runs, height, x, y) {
  let rest = Math.floor(x) * height + Math.floor(y);
  for (let index = 0; index < runs.length; index++) {
    if (rest < runs[index]) return index % 2 === 1;
    rest -= runs[index];
  }
  return false;
}

/**
 * A mask as the encoding `bits`: one bit a pixel, the most significant first, rows of whole bytes.
 * @param {Uint8Array|Uint8ClampedArray} plane one value a pixel, 128 and more on the object
 * @param {number} width
 * @param {number} height
 * @param {number} stride values from one pixel to the next: 4 takes the last channel of RGBA
 * @returns {Uint8Array}
 */
export function packBits(plane, width, height, stride = 1) {
  const row = (width + 7) >> 3;
  const bits = new Uint8Array(row * height);
  let place = stride - 1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (plane[place] >= 128) bits[y * row + (x >> 3)] |= 0x80 >> (x & 7);
      place += stride;
    }
  }
  return bits;
}
