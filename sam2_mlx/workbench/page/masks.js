/** Masks of the frames that were looked at, within a bound; the worker has the others. */

import { Scores } from "./scores.js";

/**
 * @typedef {object} Mask
 * @property {number} object
 * @property {Uint32Array} runs down the columns, zeros first
 * @property {number} area in pixels
 * @property {[number, number, number, number]} box x0, y0, x1, y1; the ends are exclusive
 * @property {number} iou
 * @property {number} presence
 */

const MAX_BYTES = 128 * 2 ** 20;
const NOTHING_COMPUTED = -1000; // presence of objects that were never followed on a frame

/** The field `masks` of requests. */
export const RUN_LENGTHS = { encoding: "rle" };

/**
 * The masks of an answer in run lengths.
 * @param {import("./socket.js").Message} message
 * @returns {Mask[]}
 */
export function readMasks({ fields, blob }) {
  return fields.objects.map((/** @type {any} */ one) => ({
    ...one,
    runs: new Uint32Array(blob.slice(one.offset, one.offset + one.bytes).buffer),
  }));
}

export class MaskStore {
  /**
   * @param {import("./state.js").State} state
   * @param {import("./socket.js").Socket} socket
   */
  constructor(state, socket) {
    this.state = state;
    this.socket = socket;
    this.scores = new Scores(0);
    /** @type {Map<number, Mask[]>} the frame used last is the last one */
    this.frames = new Map();
    this.bytes = 0;
    /** Grows with every change, so that what was drawn of it can be told from what is new. */
    this.revision = 0;
    state.on(["frame"], () => this.fetch(state.frame));
  }

  /** Forget what was computed; the scores are those of a clip with so many frames.
   * @param {Scores} scores
   */
  reset(scores) {
    this.scores = scores;
    this.frames.clear();
    this.bytes = 0;
    this.revision += 1;
    this.state.changed("masks");
  }

  /**
   * Take over an answer with masks of a frame.
   * @param {import("./socket.js").Message} message
   */
  take(message) {
    const { frame } = message.fields;
    const masks = readMasks(message);
    for (const one of masks) {
      if (one.presence > NOTHING_COMPUTED) {
        this.scores.note(one.object, frame, one.iou, one.presence);
      }
    }
    this.bytes += size(masks) - size(this.frames.get(frame) ?? []);
    this.frames.delete(frame);
    this.frames.set(frame, masks);
    for (const [oldest, old] of this.frames) {
      if (this.bytes <= MAX_BYTES || oldest === frame) break;
      this.bytes -= size(old);
      this.frames.delete(oldest);
    }
    this.revision += 1;
    this.state.changed("masks");
  }

  /**
   * @param {number} frame
   * @returns {Mask[]}
   */
  at(frame) {
    return this.frames.get(frame) ?? [];
  }

  /**
   * Ask the worker for the masks of a frame that was computed, unless they are here. While a job
   * runs they would come after its end; it sends masks by itself.
   * @param {number} frame
   */
  async fetch(frame) {
    const { clip, job } = this.state;
    if (!clip || job || this.frames.has(frame) || !this.scores.isTracked(frame)) return;
    try {
      const fields = { session: clip.session, frame, masks: RUN_LENGTHS };
      const message = await this.socket.request("masks", fields);
      if (this.state.clip === clip) this.take(message);
    } catch {
      // The frame is shown without; the loss of the connection is told elsewhere.
    }
  }

  /**
   * Forget the scores of an object on a frame.
   * @param {number} object
   * @param {number} frame
   */
  forget(object, frame) {
    this.scores.note(object, frame, NaN, NaN);
  }

  /** @param {number} object */
  remove(object) {
    this.scores.tracks.delete(object);
    for (const [frame, masks] of this.frames) {
      this.frames.set(frame, masks.filter((one) => one.object !== object));
    }
    this.revision += 1;
    this.state.changed("masks");
  }
}

/** @param {Mask[]} masks */
function size(masks) {
  return masks.reduce((sum, one) => sum + one.runs.byteLength, 0);
}
