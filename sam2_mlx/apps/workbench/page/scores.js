/** Predicted IoU and presence of each object on each frame; NaN where nothing was computed. */

/** Predicted IoU below which a frame is worth a look. */
export const LOW_IOU = 0.6;

/**
 * @typedef {object} Problem
 * @property {number} frame where an object goes out of sight, or the worst one of a doubtful stretch
 * @property {number} object
 * @property {"low"|"gone"} kind
 */

export class Scores {
  /** @param {number} frames */
  constructor(frames) {
    this.frames = frames;
    /** @type {Map<number, {iou: Float32Array, presence: Float32Array}>} */
    this.tracks = new Map();
  }

  /**
   * What the worker answers to `scores`.
   * @param {import("./socket.js").Message} message
   * @param {number} frames
   */
  static read({ fields, blob }, frames) {
    const scores = new Scores(frames);
    const bytes = new DataView(blob.buffer, blob.byteOffset);
    let offset = 0;
    for (const { object, frames: count } of fields.objects) {
      for (let index = 0; index < count; index++) {
        const frame = bytes.getUint32(offset + 4 * index, true);
        const iou = bytes.getFloat32(offset + 4 * (count + index), true);
        const presence = bytes.getFloat32(offset + 4 * (2 * count + index), true);
        scores.note(object, frame, iou, presence);
      }
      offset += 12 * count;
    }
    return scores;
  }

  /** @param {number} object */
  track(object) {
    let track = this.tracks.get(object);
    if (!track) {
      track = { iou: unknown(this.frames), presence: unknown(this.frames) };
      this.tracks.set(object, track);
    }
    return track;
  }

  /**
   * @param {number} object
   * @param {number} frame
   * @param {number} iou
   * @param {number} presence a logit: above 0 the object is in the picture
   */
  note(object, frame, iou, presence) {
    const track = this.track(object);
    track.iou[frame] = iou;
    track.presence[frame] = presence;
  }

  /** @param {number} frame */
  isTracked(frame) {
    return [...this.tracks.values()].some((track) => !Number.isNaN(track.iou[frame]));
  }

  /** A copy that goes its own way. */
  copy() {
    const twin = new Scores(this.frames);
    for (const [object, { iou, presence }] of this.tracks) {
      twin.tracks.set(object, { iou: iou.slice(), presence: presence.slice() });
    }
    return twin;
  }

  /**
   * Where objects are doubtful, or leave the picture, in order.
   * @param {number[]} objects ids
   * @returns {Problem[]}
   */
  problems(objects) {
    /** @type {Problem[]} */
    const problems = [];
    for (const object of objects) {
      const { iou, presence } = this.track(object);
      /** @type {"low"|"gone"|"fine"} */
      let before = "fine";
      for (let frame = 0; frame < this.frames; frame++) {
        if (Number.isNaN(iou[frame])) continue;
        const now = presence[frame] <= 0 ? "gone" : iou[frame] < LOW_IOU ? "low" : "fine";
        const last = problems[problems.length - 1];
        if (now !== "fine" && now !== before) problems.push({ frame, object, kind: now });
        else if (now === "low" && iou[frame] < iou[last.frame]) last.frame = frame;
        before = now;
      }
    }
    return problems.sort((one, other) => one.frame - other.frame);
  }
}

/** @param {number} frames */
function unknown(frames) {
  return new Float32Array(frames).fill(NaN);
}
