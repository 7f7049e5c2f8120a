/** Pictures of frames: those looked at lately, the one wanted now, and the ones after it. */

import { inTurn } from "./loading.js";

const MAX_PIXELS = 96 * 2 ** 20; // of all bitmaps together, 4 bytes each
const WIDTHS = [640, 1280, 1920, 2560, 3840];
const AHEAD = 6;

/** @typedef {{bitmap: ImageBitmap, width: number}} Picture width: of the file that was asked for */

export class FrameStore {
  /**
   * @param {import("./state.js").State} state
   * @param {import("./socket.js").Socket} socket
   * @param {() => void} onPicture called when the wanted frame's picture is there
   */
  constructor(state, socket, onPicture) {
    this.state = state;
    this.socket = socket;
    this.onPicture = onPicture;
    /** @type {Map<number, Picture>} the one used last is the last one */
    this.pictures = new Map();
    this.pixels = 0;
    /** Width in pixels that the stage can show. */
    this.width = WIDTHS[1];
    this.direction = 1;
    /** Load what is looked at, and what comes next. */
    this.fetch = inTurn(() => this.next(), (frame) => this.load(frame));
    state.on(["clip"], () => this.clear());
    state.on(["frame"], this.fetch);
  }

  clear() {
    for (const { bitmap } of this.pictures.values()) bitmap.close();
    this.pictures.clear();
    this.pixels = 0;
    this.fetch();
  }

  /** @param {number} pixels that a frame's width takes on the screen */
  setWidth(pixels) {
    const width = WIDTHS.find((one) => one >= pixels) ?? Infinity;
    if (width === this.width) return;
    this.width = width;
    this.fetch();
  }

  /**
   * The picture of a frame, perhaps a smaller one than wanted.
   * @param {number} frame
   * @returns {ImageBitmap|null}
   */
  at(frame) {
    return this.pictures.get(frame)?.bitmap ?? null;
  }

  /** @param {number} frame */
  isReady(frame) {
    const { clip } = this.state;
    const picture = this.pictures.get(frame);
    return !!clip && !!picture && picture.width >= Math.min(this.width, clip.width);
  }

  /** @returns {number|null} */
  next() {
    const { clip, frame, job } = this.state;
    if (!clip || !this.socket.isOpen) return null;
    const ahead = job ? 1 : AHEAD;
    for (let step = 0; step <= ahead; step++) {
      const one = frame + step * this.direction;
      if (one >= 0 && one < clip.frames && !this.isReady(one)) return one;
    }
    return null;
  }

  /** @param {number} frame */
  async load(frame) {
    const { clip } = this.state;
    if (!clip) return;
    const width = Math.min(this.width, clip.width);
    /** @type {Record<string, any>} */
    const fields = { session: clip.session, frame };
    if (width < clip.width) fields.max_width = width;
    const { fields: result, blob } = await this.socket.request("frame", fields);
    const file = new Blob([blob], { type: `image/${result.format}` });
    const bitmap = await createImageBitmap(file);
    if (this.state.clip !== clip) return bitmap.close();
    this.keep(frame, { bitmap, width });
    if (frame === this.state.frame) this.onPicture();
  }

  /**
   * @param {number} frame
   * @param {Picture} picture
   */
  keep(frame, picture) {
    this.drop(frame);
    this.pictures.set(frame, picture);
    this.pixels += area(picture);
    for (const oldest of this.pictures.keys()) {
      if (this.pixels <= MAX_PIXELS || oldest === frame) break;
      if (oldest !== this.state.frame) this.drop(oldest);
    }
  }

  /** @param {number} frame */
  drop(frame) {
    const picture = this.pictures.get(frame);
    if (!picture) return;
    this.pixels -= area(picture);
    picture.bitmap.close();
    this.pictures.delete(frame);
  }
}

/** @param {Picture} picture */
function area({ bitmap }) {
  return bitmap.width * bitmap.height;
}
