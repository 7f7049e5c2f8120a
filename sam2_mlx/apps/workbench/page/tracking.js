/** Following the objects through the clip: jobs of the worker, and how far they are. */

import { LOGITS } from "./masks.js";

/** @typedef {"forward"|"back"|"both"|"one"} Direction */

/**
 * @typedef {object} Job
 * @property {number} number
 * @property {number} done frames
 * @property {number} total
 * @property {number} began milliseconds, as of performance.now
 * @property {boolean} cancelled
 */

const CREDIT = 3;

export class Tracking {
  /**
   * @param {import("./state.js").State} state
   * @param {import("./masks.js").MaskStore} masks
   * @param {import("./history.js").History} history
   * @param {import("./socket.js").Socket} socket
   */
  constructor(state, masks, history, socket) {
    this.state = state;
    this.masks = masks;
    this.history = history;
    this.socket = socket;
    this.count = 0;
    socket.addEventListener("event", (event) => this.take(/** @type {CustomEvent} */ (event).detail));
  }

  /**
   * Follow all objects from the frame that is shown.
   * @param {Direction} direction
   */
  async run(direction) {
    const { state } = this;
    if (!state.clip || state.job) return;
    const start = this.start();
    if (start === null) throw new Error("Click on something first; then it can be followed.");
    const [first, last] = state.draft.range;
    const ahead = direction === "one" ? Math.min(1, last - start) : last - start;
    const ways = [
      { length: Math.max(ahead, 0), reverse: false, wanted: direction !== "back" },
      { length: Math.max(start - first, 0), reverse: true, wanted: /back|both/.test(direction) },
    ].filter((way) => way.wanted && way.length > 0);
    if (!ways.length) {
      throw new Error("There is no frame to follow to; see the in and out markers.");
    }
    let problem = null;
    await this.history.run("tracking", async () => {
      const total = ways.reduce((sum, way) => sum + way.length + 1, 0);
      const job = { number: 0, done: 0, total, began: performance.now(), cancelled: false };
      state.job = job;
      state.unsavedMasks = true;
      state.changed("job");
      try {
        for (const way of ways) if (!job.cancelled) await this.follow(job, start, way);
      } catch (caught) {
        problem = caught; // the frames before it are good
      }
      state.job = null;
      state.changed("job");
      this.masks.fetch();
    });
    if (problem) throw problem;
  }

  /**
   * Where following begins: here, or at the last frame before that has masks, or at the first prompt.
   * @returns {number|null}
   */
  start() {
    const { draft, frame } = this.state;
    const prompted = draft.objects.flatMap((one) => Object.keys(one.prompts).map(Number));
    if (!prompted.length) return null;
    for (let one = frame; one >= draft.range[0]; one--) {
      if (this.masks.scores.isTracked(one)) return one;
    }
    return Math.min(...prompted);
  }

  /**
   * @param {Job} job
   * @param {number} start
   * @param {{length: number, reverse: boolean}} way
   */
  async follow(job, start, { length, reverse }) {
    const { clip, draft } = this.state;
    if (!clip) return;
    job.number = ++this.count;
    const locked = draft.objects.filter((one) => one.locked).map((one) => one.id);
    await this.socket.request("propagate", {
      session: clip.session,
      job: job.number,
      start,
      length,
      reverse,
      hold: locked,
      credit: CREDIT,
      masks: LOGITS,
    });
  }

  /** @param {import("./socket.js").Message} message */
  take(message) {
    const { job } = this.state;
    const { event, job: number, frame } = message.fields;
    if (event !== "masks" || !job || number !== job.number) return;
    this.masks.take(message);
    job.done += 1;
    this.state.changed("job");
    this.state.show(frame);
    // One that is hidden draws nothing, and asks for the next frame all the same.
    const next = () => this.socket.notify("credit", { job: number, frames: 1 });
    if (document.hidden) next();
    else requestAnimationFrame(next);
  }

  /** End the job; what was followed stays. */
  cancel() {
    const { job } = this.state;
    if (!job) return;
    job.cancelled = true;
    this.socket.notify("cancel", { job: job.number });
  }
}

/**
 * How fast a job is, and how long it will take.
 * @param {Job} job
 * @param {number} now milliseconds, as of performance.now
 */
export function pace(job, now) {
  const seconds = (now - job.began) / 1000;
  const rate = seconds > 0 ? job.done / seconds : 0;
  const left = rate > 0 ? Math.max(job.total - job.done, 0) / rate : NaN;
  return { rate, left };
}
