/** What the page knows of the clip and shows of it, and who wants to hear of changes. */

/**
 * What was pointed at on one frame.
 * @typedef {object} Prompt
 * @property {[number, number][]} points in pixels
 * @property {number[]} labels one a point: 1 on the object, 0 beside it
 * @property {[number, number, number, number]|null} box x0, y0, x1, y1
 * @property {{width: number, height: number, bits: Uint8Array}|null} mask a painted one
 */

/**
 * @typedef {object} TrackedObject
 * @property {number} id
 * @property {string} name
 * @property {string} colour as #rrggbb
 * @property {boolean} visible
 * @property {boolean} locked neither prompted, nor followed, nor removed
 * @property {Record<number, Prompt>} prompts by frame
 */

/**
 * What undo and redo bring back.
 * @typedef {object} Draft
 * @property {TrackedObject[]} objects
 * @property {number|null} active id of the object that prompts belong to
 * @property {[number, number]} range first and last frame that tracking and exports touch
 */

/**
 * @typedef {object} Clip
 * @property {number} session of the worker
 * @property {string} path
 * @property {string} name
 * @property {string|null} project path of the folder that it is saved to
 * @property {number} frames
 * @property {number} width in pixels
 * @property {number} height
 * @property {number} rate frames a second
 */

/**
 * @typedef {object} Look
 * @property {"overlay"|"cutout"|"matte"|"picture"} mode
 * @property {number} opacity of the fill, 0 to 1
 * @property {boolean} outline
 */

/**
 * What was found on a frame.
 * @typedef {object} Found
 * @property {import("./runs.js").RunMask[]} masks the best first
 * @property {Set<number>} chosen numbers of those that become objects
 * @property {boolean} searching
 */

/**
 * @typedef {"clip"|"objects"|"frame"|"masks"|"look"|"job"|"tool"|"found"|"history"|"model"|"connection"} Topic
 */

// That of sam2_mlx/media/overlay.py, which exports are drawn with.
export const PALETTE = [
  "#009eff", "#e67e00", "#00be82", "#f0e442",
  "#de5caa", "#56d8f0", "#d54000", "#966ee6",
];

export class State extends EventTarget {
  constructor() {
    super();
    /** @type {Clip|null} */
    this.clip = null;
    /** @type {Draft} */
    this.draft = { objects: [], active: null, range: [0, 0] };
    /** Index of the frame on the stage. */
    this.frame = 0;
    /** @type {Look} */
    this.look = { mode: "overlay", opacity: 0.5, outline: true };
    /** @type {"point"|"brush"|"hand"} */
    this.tool = "point";
    this.brush = { size: 24, erase: false };
    /** @type {import("./tracking.js").Job|null} the tracking that is going on */
    this.job = null;
    /** @type {Found|null} what can be kept of all that is on the frame; null out of that mode */
    this.found = null;
    /** Whether masks were followed, or taken back, since the project was saved. */
    this.unsavedMasks = false;
    /** @type {Record<string, any>|null} what load_model answered */
    this.model = null;
  }

  /**
   * Hear of changes.
   * @param {Topic[]} topics
   * @param {() => void} listener
   */
  on(topics, listener) {
    for (const topic of topics) this.addEventListener(topic, listener);
  }

  /** @param {...Topic} topics */
  changed(...topics) {
    for (const topic of topics) this.dispatchEvent(new Event(topic));
  }

  /** @param {number|null} id */
  object(id) {
    return this.draft.objects.find((one) => one.id === id) ?? null;
  }

  get active() {
    return this.object(this.draft.active);
  }

  /** The active object's prompt on the frame that is shown. */
  get prompt() {
    return this.active?.prompts[this.frame] ?? null;
  }

  /** Refuse what cannot be done while objects are being followed. */
  requireRest() {
    if (this.job) throw new Error("Wait for the tracking, or cancel it with Escape.");
  }

  /** @param {number} frame */
  show(frame) {
    if (!this.clip) return;
    const inside = Math.min(Math.max(Math.round(frame), 0), this.clip.frames - 1);
    if (inside === this.frame) return;
    this.frame = inside;
    this.changed("frame");
  }

  /**
   * An object of which nothing is known yet, with a name and a colour that are free.
   * @returns {TrackedObject}
   */
  addObject() {
    const { objects } = this.draft;
    const id = Math.max(0, ...objects.map((one) => one.id)) + 1;
    const colour = PALETTE[(id - 1) % PALETTE.length];
    const made = { id, name: `Object ${id}`, colour, visible: true, locked: false, prompts: {} };
    objects.push(made);
    this.draft.active = id;
    this.changed("objects");
    return made;
  }
}
