/** Masks of the frames that were looked at, within a bound; the worker has the others. */

import { inTurn } from "./loading.js";
import { enlargeBox } from "./logits.js";
import { Scores } from "./scores.js";

/** @typedef {{bytes: Uint8Array, width: number, height: number}} Logits */

/**
 * @typedef {object} Mask
 * @property {number} object
 * @property {Logits} logits
 * @property {number} area in pixels of the logits
 * @property {[number, number, number, number]} box around it in pixels of the picture
 * @property {number} iou
 * @property {number} presence
 */

const MAX_BYTES = 128 * 2 ** 20;
const AHEAD = 3; // frames that playing needs next
const NOTHING_COMPUTED = -1000; // presence of objects that were never followed on a frame

/** The field `masks` of requests: small whatever the picture's size, and enlarged here. */
export const LOGITS = { encoding: "low8" };

/**
 * The masks of an answer.
 * @param {import("./socket.js").Message} message
 * @param {{width: number, height: number}} picture
 * @returns {Mask[]}
 */
export function readMasks({ fields, blob }, picture) {
  const { width, height } = fields;
  return fields.objects.map((/** @type {any} */ one) => ({
    ...one,
    box: enlargeBox(one.box, { width, height }, picture),
    logits: { bytes: blob.slice(one.offset, one.offset + one.bytes), width, height },
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
    /** Ask for what is looked at, and for what comes next. */
    this.fetch = inTurn(() => this.next(), (frame) => this.load(frame));
    state.on(["frame"], this.fetch);
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
    const { clip } = this.state;
    if (!clip) return;
    const { frame } = message.fields;
    const masks = readMasks(message, clip);
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
   * Whether the masks of a frame are here, or there are none.
   * @param {number} frame
   */
  isReady(frame) {
    return this.frames.has(frame) || !this.scores.isTracked(frame);
  }

  /**
   * While a job runs the answer would come after its end; it sends masks by itself.
   * @returns {number|null}
   */
  next() {
    const { clip, job, frame } = this.state;
    if (!clip || job || !this.socket.isOpen) return null;
    const last = Math.min(frame + AHEAD, clip.frames - 1);
    for (let one = frame; one <= last; one++) if (!this.isReady(one)) return one;
    return null;
  }

  /** @param {number} frame */
  async load(frame) {
    const { clip } = this.state;
    const message = await this.socket.request("masks", { session: clip?.session, frame, masks: LOGITS });
    if (this.state.clip === clip) this.take(message);
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
  return masks.reduce((sum, one) => sum + one.logits.bytes.length, 0);
}
