/** What people do to objects: point at them, name them, remove them. All of it can be undone. */

import { LOGITS } from "./masks.js";

/** @typedef {import("./state.js").Prompt} Prompt */
/** @typedef {import("./state.js").TrackedObject} TrackedObject */

/** @returns {Prompt} */
export function emptyPrompt() {
  return { points: [], labels: [], box: null, mask: null };
}

/**
 * A prompt as the worker takes it: the fields, and a mask's bits.
 * @param {Prompt} prompt
 */
export function wirePrompt({ points, labels, box, mask }) {
  if (mask) {
    return { fields: { mask: { width: mask.width, height: mask.height } }, blob: mask.bits };
  }
  const clicks = points.length ? { points, labels } : {};
  return { fields: { ...clicks, ...(box ? { box } : {}) }, blob: undefined };
}

export class Editing {
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
  }

  /**
   * A click: on the active object, or beside it; without one on a new object.
   * @param {number} x in pixels
   * @param {number} y
   * @param {number} label 1 on the object, 0 beside it
   */
  addPoint(x, y, label) {
    if (!label && !this.state.prompt && !this.hasMask()) {
      throw new Error("Click on the object first; then take away what does not belong to it.");
    }
    return this.prompt(label ? "click" : "subtracting click", (prompt) => ({
      ...prompt,
      points: [...prompt.points, [x, y]],
      labels: [...prompt.labels, label],
      mask: null,
    }));
  }

  /** @param {[number, number, number, number]} box x0, y0, x1, y1 in pixels */
  setBox(box) {
    return this.prompt("box", (prompt) => ({ ...prompt, box, mask: null }));
  }

  /** @param {Prompt["mask"]} mask */
  setMask(mask) {
    return this.prompt("brush", () => ({ ...emptyPrompt(), mask }));
  }

  /**
   * Change what is pointed at on the frame that is shown.
   * @param {string} label
   * @param {(prompt: Prompt) => Prompt} change
   */
  prompt(label, change) {
    this.state.requireRest();
    const { frame } = this.state;
    return this.history.run(label, async () => {
      const object = this.state.active ?? this.state.addObject();
      this.refuseLocked(object);
      const prompt = change(object.prompts[frame] ?? emptyPrompt());
      object.prompts[frame] = prompt;
      await this.send(object.id, frame, prompt);
      this.state.changed("objects");
    });
  }

  /**
   * @param {number} object id
   * @param {number} frame
   * @param {Prompt} prompt
   */
  async send(object, frame, prompt) {
    const { fields, blob } = wirePrompt(prompt);
    const session = this.state.clip?.session;
    const request = { session, object, frame, prompt: fields, masks: LOGITS };
    this.masks.take(await this.socket.request("prompt", request, blob));
  }

  /** Forget what was pointed at on the frame that is shown; what was followed there stays. */
  clearFrame() {
    const { clip, active, frame } = this.state;
    if (!clip || !active?.prompts[frame]) return;
    this.state.requireRest();
    this.refuseLocked(active);
    const { session } = clip;
    return this.history.run("clearing a frame", async () => {
      delete this.state.object(active.id)?.prompts[frame];
      await this.socket.request("clear", { session, object: active.id, frame });
      this.masks.forget(active.id, frame);
      const request = { session, frame, masks: LOGITS };
      this.masks.take(await this.socket.request("masks", request));
      this.state.changed("objects");
    });
  }

  newObject() {
    if (!this.state.clip) return;
    return this.history.run("new object", () => void this.state.addObject(), { worker: false });
  }

  /** @param {TrackedObject} object */
  remove(object) {
    const { clip } = this.state;
    if (!clip) return;
    this.state.requireRest();
    this.refuseLocked(object);
    return this.history.run(`removing ${object.name}`, async () => {
      const { draft } = this.state;
      await this.socket.request("remove", { session: clip.session, object: object.id });
      const place = draft.objects.findIndex((one) => one.id === object.id);
      draft.objects.splice(place, 1);
      if (draft.active === object.id) {
        draft.active = (draft.objects[place] ?? draft.objects[place - 1])?.id ?? null;
      }
      this.masks.remove(object.id);
      this.state.changed("objects");
    });
  }

  /**
   * Change an object's name, colour, visibility or lock.
   * @param {TrackedObject} object
   * @param {Partial<TrackedObject>} change
   */
  describe(object, change) {
    const label = Object.keys(change).join(" and ");
    return this.history.run(label, () => this.assign(object.id, change), { worker: false });
  }

  /**
   * @param {number} id
   * @param {Partial<TrackedObject>} change
   */
  assign(id, change) {
    Object.assign(this.state.object(id) ?? {}, change);
    this.state.changed("objects");
  }

  /**
   * Which object prompts belong to; no change that would need to be undone.
   * @param {number|null} id
   */
  activate(id) {
    if (this.state.draft.active === id) return;
    this.state.draft.active = id;
    this.state.changed("objects");
  }

  /**
   * Set the first or the last frame that tracking and exports touch.
   * @param {0|1} end
   * @param {number} frame
   */
  mark(end, frame) {
    if (!this.state.clip) return;
    const label = end ? "out marker" : "in marker";
    return this.history.run(label, () => {
      const range = this.state.draft.range;
      range[end] = frame;
      if (range[0] > range[1]) range[1 - end] = frame;
      this.state.changed("objects");
    }, { worker: false });
  }

  hasMask() {
    const { draft, frame } = this.state;
    return this.masks.at(frame).some((one) => one.object === draft.active && one.area > 0);
  }

  /** @param {TrackedObject} object */
  refuseLocked(object) {
    if (object.locked) throw new Error(`${object.name} is locked. Unlock it, or choose another.`);
  }
}
