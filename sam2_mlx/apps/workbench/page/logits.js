/** Masks as the logits of the model's own small grid, as the encoding `low8` has them. */

const ZERO = 128; // above it is the object

/**
 * Enlarge a mask as the worker does, at every `step`-th pixel of the picture: bilinear, with the
 * centres of pixels where they are.
 * @param {import("./masks.js").Logits} logits
 * @param {{width: number, height: number}} size of the picture
 * @param {number} step
 * @param {[number, number, number, number]} box x0, y0, x1, y1 in pixels; outside it is nothing
 * @returns {Uint8Array} ceil(width / step) × ceil(height / step), row by row, 1 on the object
 */
export function sampleLogits({ bytes, width, height }, size, step, [x0, y0, x1, y1]) {
  const columns = Math.ceil(size.width / step);
  const rows = Math.ceil(size.height / step);
  const sample = new Uint8Array(columns * rows);
  const across = places(columns, step, width / size.width, width);
  const down = places(rows, step, height / size.height, height);
  const [left, top] = [Math.floor(x0 / step), Math.floor(y0 / step)];
  const right = Math.min(Math.ceil(x1 / step), columns);
  const bottom = Math.min(Math.ceil(y1 / step), rows);
  for (let y = top; y < bottom; y++) {
    const upper = down.first[y] * width;
    const lower = down.second[y] * width;
    const share = down.share[y];
    for (let x = left; x < right; x++) {
      const [a, b, part] = [across.first[x], across.second[x], across.share[x]];
      const above = bytes[upper + a] + part * (bytes[upper + b] - bytes[upper + a]);
      const below = bytes[lower + a] + part * (bytes[lower + b] - bytes[lower + a]);
      if (above + share * (below - above) > ZERO) sample[y * columns + x] = 1;
    }
  }
  return sample;
}

/**
 * Which two of the grid each place lies between, and how far it is from the first.
 * @param {number} count
 * @param {number} step
 * @param {number} scale
 * @param {number} length of the grid
 */
function places(count, step, scale, length) {
  const first = new Uint16Array(count);
  const second = new Uint16Array(count);
  const share = new Float32Array(count);
  for (let index = 0; index < count; index++) {
    const place = Math.max((index * step + 0.5) * scale - 0.5, 0);
    first[index] = Math.min(Math.floor(place), length - 1);
    second[index] = Math.min(first[index] + 1, length - 1);
    share[index] = place - first[index];
  }
  return { first, second, share };
}

/**
 * A box of the grid in pixels of the picture, with room for what is between.
 * @param {[number, number, number, number]} box the ends are exclusive
 * @param {{width: number, height: number}} grid
 * @param {{width: number, height: number}} picture
 * @returns {[number, number, number, number]}
 */
export function enlargeBox([x0, y0, x1, y1], grid, picture) {
  const [across, down] = [picture.width / grid.width, picture.height / grid.height];
  return [
    Math.max(Math.floor((x0 - 1) * across), 0),
    Math.max(Math.floor((y0 - 1) * down), 0),
    Math.min(Math.ceil((x1 + 1) * across), picture.width),
    Math.min(Math.ceil((y1 + 1) * down), picture.height),
  ];
}
