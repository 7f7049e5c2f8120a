/** Opening a clip, a folder or a picture. */

import { byId } from "./dom.js";
import { Scores } from "./scores.js";

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
    byId("open-form").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      attempt(() => this.open(byId("open-path").value.trim()));
    });
    byId("open").addEventListener("click", () => this.offer());
  }

  /** Show what can be opened. */
  offer() {
    byId("open-dialog").showModal();
  }

  /** @param {string} path */
  async open(path) {
    const { fields } = await this.socket.request("open", { path, memory: "full" });
    byId("open-dialog").close();
    this.show(fields, path);
  }

  /**
   * @param {Record<string, any>} facts what `open` answered
   * @param {string} path
   */
  show(facts, path) {
    const { state } = this;
    const old = state.clip?.session;
    const [above, below] = facts.frame_rate;
    const name = path.split(/[\\/]/).filter(Boolean).pop() ?? path;
    const { session, frames, width, height } = facts;
    state.clip = { session, name, frames, width, height, rate: above / below };
    state.draft = { objects: [], active: null, range: [0, frames - 1] };
    state.frame = 0;
    this.masks.reset(new Scores(frames));
    document.body.classList.toggle("picture", frames === 1);
    byId("clip-name").textContent = name;
    byId("clip-facts").textContent = describe(state.clip);
    document.title = `${name} – sam2_mlx`;
    state.changed("clip", "objects", "frame");
    if (old) this.socket.notify("close", { session: old });
  }
}

/** @param {import("./state.js").Clip} clip */
function describe({ width, height, frames, rate }) {
  const size = `${width} × ${height}`;
  return frames === 1 ? size : `${size}, ${frames} frames, ${Number(rate.toFixed(3))} a second`;
}
