/** Undo and redo: what the page and the worker knew before each change, and a way back to it. */

import { Refusal } from "./socket.js";

const MAX_STEPS = 90; // the worker keeps 100 snapshots

/**
 * @typedef {object} Moment
 * @property {string} label what was done after it
 * @property {import("./state.js").Draft} draft
 * @property {import("./scores.js").Scores} scores
 * @property {number|null} snapshot of the worker; null where the change is none of its business
 */

export class History {
  /**
   * @param {import("./state.js").State} state
   * @param {import("./masks.js").MaskStore} masks
   * @param {import("./socket.js").Socket} socket
   */
  constructor(state, masks, socket) {
    this.state = state;
    this.masks = masks;
    this.socket = socket;
    /** @type {Moment[]} */
    this.past = [];
    /** @type {Moment[]} */
    this.future = [];
    /** @type {number|null} snapshot of what the worker knows now, if there is one */
    this.current = null;
    /** @type {Promise<any>} changes follow one another */
    this.last = Promise.resolve();
    state.on(["clip"], () => this.clear());
  }

  clear() {
    this.past = [];
    this.future = [];
    this.current = null;
    this.state.changed("history");
  }

  /**
   * Change something so that it can be undone; after an error all is as it was before.
   * @param {string} label what is done, for people
   * @param {() => Promise<void>|void} change
   * @param {{worker: boolean}} touches whether the worker's session changes too
   */
  run(label, change, { worker } = { worker: true }) {
    return this.queue(async () => {
      const before = await this.moment(label, worker);
      if (worker) this.current = null;
      try {
        await change();
      } catch (problem) {
        await this.restore(before).catch(() => {});
        throw problem;
      }
      this.past.push(before);
      if (this.past.length > MAX_STEPS) this.past.shift();
      this.future = [];
      this.state.changed("history");
    });
  }

  undo() {
    return this.step(this.past, this.future);
  }

  redo() {
    return this.step(this.future, this.past);
  }

  /**
   * @param {Moment[]} from
   * @param {Moment[]} to
   */
  step(from, to) {
    return this.queue(async () => {
      const target = from[from.length - 1];
      if (!target) return;
      const here = await this.moment(target.label, target.snapshot !== null);
      try {
        await this.restore(target);
      } catch (problem) {
        if (!(problem instanceof Refusal && problem.code === "bad_state")) throw problem;
        from.length = 0; // the worker keeps the last snapshots only
        this.state.changed("history");
        throw new Error("That is too long ago to go back to.");
      }
      from.pop();
      to.push(here);
      this.state.changed("history");
    });
  }

  /**
   * @param {() => Promise<void>} work
   * @returns {Promise<void>}
   */
  queue(work) {
    const turn = this.last.then(work);
    this.last = turn.catch(() => {});
    return turn;
  }

  /**
   * @param {string} label
   * @param {boolean} worker
   * @returns {Promise<Moment>}
   */
  async moment(label, worker) {
    const { clip, draft } = this.state;
    if (worker && clip && this.current === null) {
      const { fields } = await this.socket.request("snapshot", { session: clip.session });
      this.current = fields.snapshot;
    }
    const snapshot = worker ? this.current : null;
    return { label, snapshot, draft: structuredClone(draft), scores: this.masks.scores.copy() };
  }

  /** @param {Moment} moment */
  async restore(moment) {
    const { clip } = this.state;
    if (moment.snapshot !== null && clip) {
      const fields = { session: clip.session, snapshot: moment.snapshot };
      await this.socket.request("rollback", fields);
      this.current = moment.snapshot;
      this.masks.reset(moment.scores.copy());
      this.state.unsavedMasks = true;
    }
    this.state.draft = structuredClone(moment.draft);
    this.state.changed("objects");
    await this.masks.fetch();
  }
}
