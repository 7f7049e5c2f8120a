/** Saving the project as one goes, and going on with it. */

import { byId } from "./dom.js";
import { emptyPrompt } from "./editing.js";
import { PALETTE } from "./state.js";

const REST_MILLISECONDS = 400;

/**
 * What a project knows, as the page works with it.
 * @param {Record<string, any>} settings as `save_project` took them
 * @param {Record<string, any>[]} prompts
 * @param {[number, number]} range of the whole clip
 * @returns {import("./state.js").Draft}
 */
export function readDraft(settings, prompts, range) {
  /** @type {import("./state.js").TrackedObject[]} */
  const objects = settings.objects.map((/** @type {any} */ one) => ({
    id: one.object,
    name: one.name,
    colour: one.colour ?? PALETTE[(one.object - 1) % PALETTE.length],
    visible: one.visible,
    locked: one.locked,
    prompts: {},
  }));
  for (const { object, frame, points, labels, box, mask } of prompts) {
    const prompt = { ...emptyPrompt(), points: points ?? [], box: box ?? null };
    prompt.labels = labels ?? prompt.points.map(() => 1);
    // The worker has the pixels of a mask; a click or a stroke begins from what it shows.
    if (mask) prompt.mask = { width: 0, height: 0, bits: new Uint8Array() };
    const owner = objects.find((one) => one.id === object);
    if (owner) owner.prompts[frame] = prompt;
  }
  const { first, last, active } = settings;
  return { objects, active, range: [first ?? range[0], last ?? range[1]] };
}

export class Projects {
  /**
   * @param {import("./state.js").State} state
   * @param {import("./history.js").History} history
   * @param {import("./socket.js").Socket} socket
   * @param {(work: () => any) => void} attempt tells people of errors
   */
  constructor(state, history, socket, attempt) {
    this.state = state;
    this.history = history;
    this.socket = socket;
    this.attempt = attempt;
    this.timer = 0;
    /** Changes so far, and how many of them are saved. */
    this.changes = 0;
    this.saved = 0;
    state.on(["history", "job"], () => this.schedule(0));
    state.on(["objects", "look"], () => this.schedule(REST_MILLISECONDS));
    state.on(["clip"], () => {
      byId("saved").textContent = "";
      this.remember();
    });
  }

  /** @param {number} milliseconds to wait for the next change */
  schedule(milliseconds) {
    this.changes += 1;
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.attempt(() => this.save()), milliseconds);
  }

  /** Save what there is, once changes are made; a clip on which nothing was done has no project. */
  save() {
    return this.history.queue(async () => {
      const { clip, draft, job } = this.state;
      if (!clip || job || !this.socket.isOpen || !(clip.project || draft.objects.length)) return;
      const { changes } = this;
      clip.project ??= await this.newName(clip.name);
      const masks = this.state.unsavedMasks;
      this.state.unsavedMasks = false;
      const { fields } = await this.socket.request("save_project", {
        session: clip.session,
        path: clip.project,
        settings: this.settings(),
        masks,
      });
      clip.project = fields.path;
      this.saved = changes;
      byId("saved").textContent = `Saved as ${fields.path.split(/[\\/]/).pop()}`;
      this.remember();
    });
  }

  settings() {
    const { draft, frame, look } = this.state;
    const objects = draft.objects.map(({ id, name, colour, visible, locked }) => ({
      object: id, name, colour, visible, locked,
    }));
    const [first, last] = draft.range;
    return { objects, first, last, frame, active: draft.active, look };
  }

  /**
   * A name in the folder of projects that is free.
   * @param {string} clip
   */
  async newName(clip) {
    const { fields } = await this.socket.request("projects");
    const taken = new Set(fields.projects.map((/** @type {any} */ one) => one.name));
    const stem = clip.replace(/\.\w+$/, "").replace(/[^\p{L}\p{N}_-]+/gu, "-") || "project";
    let name = stem;
    for (let count = 2; taken.has(name); count++) name = `${stem}-${count}`;
    return name;
  }

  /** Let a reload of the page find it again. */
  remember() {
    const { clip } = this.state;
    if (!clip) return;
    const hash = clip.project ? `#${encodeURIComponent(clip.project)}` : "";
    history.replaceState(null, "", location.pathname + location.search + hash);
  }

  /** The project that the page's address names. */
  static remembered() {
    return decodeURIComponent(location.hash.slice(1)) || null;
  }
}
