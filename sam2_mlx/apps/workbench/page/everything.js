/** Finding everything on a frame, and keeping some of it as objects. */

import { byId, element } from "./dom.js";
import { emptyPrompt } from "./editing.js";
import { isOn, packBits, readRuns, sampleRuns } from "./runs.js";
import { PALETTE } from "./state.js";

// People look and choose: what is left out cannot be chosen.
const LOOSE = { pred_iou_thresh: 0.6, stability_score_thresh: 0.8 };

export class Everything {
  /**
   * @param {import("./state.js").State} state
   * @param {import("./editing.js").Editing} editing
   * @param {import("./socket.js").Socket} socket
   * @param {(work: () => any) => void} attempt tells people of errors
   */
  constructor(state, editing, socket, attempt) {
    this.state = state;
    this.editing = editing;
    this.socket = socket;
    byId("find-again").addEventListener("click", () => attempt(() => this.find()));
    byId("keep").addEventListener("click", () => attempt(() => this.keep()));
    byId("found-cancel").addEventListener("click", () => this.leave());
    state.on(["found"], () => this.show());
    state.on(["frame", "clip", "job"], () => state.found && this.leave());
  }

  /** Look for everything on the frame that is shown. */
  async find() {
    const { clip, frame } = this.state;
    if (!clip) return;
    this.state.requireRest();
    this.set({ masks: [], chosen: new Set(), searching: true });
    try {
      const picture = { clip: { session: clip.session, frame } };
      const { fields } = await this.socket.request("set_picture", picture);
      const options = { ...LOOSE, points_per_side: Number(byId("points-per-side").value) };
      const request = { session: fields.session, options, masks: { encoding: "rle" } };
      const message = await this.socket
        .request("everything", request)
        .finally(() => this.socket.request("close", { session: fields.session }));
      if (!this.state.found || this.state.frame !== frame) return;
      this.set({ masks: readRuns(message), chosen: new Set(), searching: false });
    } catch (problem) {
      this.leave();
      throw problem;
    }
  }

  /** @param {import("./state.js").Found|null} found */
  set(found) {
    this.state.found = found;
    this.state.changed("found");
  }

  leave() {
    this.set(null);
  }

  /**
   * Choose the smallest mask at a place, or choose it no more.
   * @param {number} x in pixels of the picture
   * @param {number} y
   */
  choose(x, y) {
    const { found, clip } = this.state;
    if (!found || !clip) return;
    const here = found.masks.filter((one) => isOn(one.runs, clip.height, x, y));
    const smallest = here.sort((one, other) => one.area - other.area)[0];
    if (smallest) this.toggle(smallest.object);
  }

  /** @param {number} number */
  toggle(number) {
    const { found } = this.state;
    if (!found) return;
    if (!found.chosen.delete(number)) found.chosen.add(number);
    this.state.changed("found");
  }

  /** Make objects of what is chosen. */
  async keep() {
    const { found, clip, frame } = this.state;
    if (!found || !clip) return;
    const { width, height } = clip;
    const kept = found.masks.filter((one) => found.chosen.has(one.object));
    this.leave();
    if (!kept.length) return;
    await this.editing.history.run(`keeping ${kept.length} of what was found`, async () => {
      for (const { runs } of kept) {
        const plane = sampleRuns(runs, width, height).map((one) => 255 * one);
        const mask = { width, height, bits: packBits(plane, width, height) };
        const object = this.state.addObject();
        object.prompts[frame] = { ...emptyPrompt(), mask };
        await this.editing.send(object.id, frame, object.prompts[frame]);
      }
    });
  }

  show() {
    const { found, clip } = this.state;
    byId("found").hidden = !found;
    if (!found || !clip) return;
    const { masks, chosen, searching } = found;
    const hint = masks.length ? "Click on what you want to keep." : "Nothing was found.";
    byId("found-text").textContent = searching ? "Looking for everything on this frame…" : hint;
    byId("keep").disabled = !chosen.size;
    byId("keep").textContent = chosen.size ? `Keep ${chosen.size}` : "Keep";
    byId("find-again").disabled = searching;
    const list = byId("found-list");
    if (list.childElementCount !== masks.length) {
      list.replaceChildren(...masks.map((one) => this.row(one, clip)));
    }
    masks.forEach(({ object }, place) => {
      list.children[place].querySelector("input").checked = chosen.has(object);
    });
  }

  /**
   * @param {import("./runs.js").RunMask} mask
   * @param {import("./state.js").Clip} clip
   */
  row({ object, area, iou }, { width, height }) {
    const share = ((100 * area) / (width * height)).toFixed(1);
    const box = element("input", { type: "checkbox", onchange: () => this.toggle(object) });
    const text = `${object + 1}: ${share} % of the picture, ${iou.toFixed(2)}`;
    const swatch = element("span", { class: "swatch" });
    swatch.style.background = foundColour(object);
    return element("li", {}, element("label", { class: "check" }, box, swatch, text));
  }
}

/** @param {number} number */
export function foundColour(number) {
  return PALETTE[number % PALETTE.length];
}
