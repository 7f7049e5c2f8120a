/** Opening a clip, a folder, a picture or a project. */

import { byId, element } from "./dom.js";
import { readDraft } from "./projects.js";
import { Scores } from "./scores.js";

const MOST_RECENT = 8;

export class Opening {
  /**
   * @param {import("./state.js").State} state
   * @param {import("./masks.js").MaskStore} masks
   * @param {import("./socket.js").Socket} socket
   * @param {(work: () => any) => void} attempt tells people of errors
   */
  constructor(state, masks, socket, attempt) {
    this.state = state;
    this.masks = masks;
    this.socket = socket;
    this.attempt = attempt;
    this.dialog = byId("open-dialog");
    this.onOffer = async () => {};
    byId("open-form").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      attempt(() => this.open(byId("open-path").value.trim()));
    });
    byId("open-cancel").addEventListener("click", () => this.dialog.close());
    byId("open").addEventListener("click", () => attempt(() => this.offer()));
  }

  /** Show what can be opened. */
  async offer() {
    if (!this.dialog.open) this.dialog.showModal();
    const { fields } = await this.socket.request("projects");
    const recent = fields.projects.slice(0, MOST_RECENT);
    byId("projects").replaceChildren(...recent.map((/** @type {any} */ one) => this.entry(one)));
    byId("recent").hidden = !recent.length;
    await this.onOffer();
  }

  /** @param {{path: string, name: string, clip: string, changed: number}} project */
  entry({ path, name, clip, changed }) {
    const when = new Date(changed * 1000).toLocaleString([], {
      dateStyle: "medium",
      timeStyle: "short",
    });
    return element(
      "li",
      {},
      element(
        "button",
        { type: "button", onclick: () => this.attempt(() => this.openProject(path)) },
        element("b", {}, name),
        element("span", {}, clip),
        element("span", {}, when),
      ),
    );
  }

  /** @param {string} path of a video, a picture or a folder */
  async open(path) {
    this.state.requireRest();
    const { fields } = await this.ask("open", { path, memory: "full" });
    const draft = { objects: [], active: null, range: whole(fields.frames) };
    await this.show(fields, { path, project: null, draft, frame: 0 });
  }

  /**
   * Go on with a project where it was saved.
   * @param {string} path
   */
  async openProject(path) {
    this.state.requireRest();
    const { fields } = await this.ask("open_project", { path, memory: "full" });
    const { settings, clip, frames } = fields;
    const draft = readDraft(settings, fields.prompts, whole(frames));
    if (settings.look) this.state.look = { ...this.state.look, ...settings.look };
    await this.show(fields, { path: clip, project: fields.path, draft, frame: settings.frame });
    this.state.changed("look");
    return fields.masks_note;
  }

  /**
   * Ask, and say so meanwhile: a long clip takes seconds to look through.
   * @param {string} method
   * @param {Record<string, any>} fields
   */
  ask(method, fields) {
    byId("saved").textContent = "Opening…";
    return this.socket.request(method, fields).finally(() => {
      byId("saved").textContent = "";
    });
  }

  /**
   * @param {Record<string, any>} facts what the worker answered
   * @param {{path: string, project: string|null, draft: import("./state.js").Draft, frame: number}} opened
   */
  async show(facts, { path, project, draft, frame }) {
    const { state } = this;
    const old = state.clip?.session;
    const [above, below] = facts.frame_rate;
    const { session, frames, width, height } = facts;
    const message = await this.socket.request("scores", { session });
    const name = path.split(/[\\/]/).filter(Boolean).pop() ?? path;
    state.clip = { session, path, name, project, frames, width, height, rate: above / below };
    state.draft = draft;
    state.frame = Math.min(frame, frames - 1);
    this.masks.reset(Scores.read(message, frames));
    document.body.classList.toggle("picture", frames === 1);
    byId("clip-name").textContent = name;
    byId("clip-facts").textContent = describe(state.clip);
    document.title = `${name} – sam2_mlx`;
    state.changed("clip", "objects", "frame");
    this.dialog.close();
    if (old && old !== session) await this.socket.request("close", { session: old });
  }
}

/**
 * @param {number} frames
 * @returns {[number, number]}
 */
function whole(frames) {
  return [0, frames - 1];
}

/** @param {import("./state.js").Clip} clip */
function describe({ width, height, frames, rate }) {
  const size = `${width} × ${height}`;
  return frames === 1 ? size : `${size}, ${frames} frames, ${Number(rate.toFixed(3))} a second`;
}
