/** Exports: what is written, how far it is, and where it went. */

import { byId, element } from "./dom.js";
import { notify } from "./notices.js";

export class Exporting {
  /**
   * @param {import("./state.js").State} state
   * @param {import("./socket.js").Socket} socket
   * @param {string} token
   * @param {(work: () => any) => void} attempt tells people of errors
   */
  constructor(state, socket, token, attempt) {
    this.state = state;
    this.socket = socket;
    this.token = token;
    /** @type {number|null} */
    this.job = null;
    byId("export-form").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      attempt(() => this.run());
    });
    byId("export-cancel").addEventListener("click", () => this.cancel());
    byId("export-format").addEventListener("change", () => this.explain());
    socket.addEventListener("event", (event) => {
      const { fields } = /** @type {CustomEvent} */ (event).detail;
      if (fields.stage === "export" && fields.job === this.job) this.progress(fields.fraction);
    });
  }

  open() {
    if (!this.state.clip) return;
    const [first, last] = this.state.draft.range;
    byId("export-range").textContent = `the part between the markers, ${first} to ${last}`;
    this.explain();
    this.progress(null);
    byId("exported").replaceChildren();
    byId("export-dialog").showModal();
  }

  /** Only pictures have edges to refine. */
  explain() {
    const option = byId("export-format").selectedOptions[0];
    byId("export-edges-label").hidden = !option.hasAttribute("data-edges");
  }

  async run() {
    const { clip, draft } = this.state;
    if (!clip) return;
    const [first, last] = byId("export-part").checked ? draft.range : [0, clip.frames - 1];
    const wanted = byId("export-visible").checked ? draft.objects.filter((one) => one.visible) : draft.objects;
    if (!wanted.length) throw new Error("There is no object to export: click on something first.");
    const isRefined = !byId("export-edges-label").hidden && byId("export-edges").value === "refined";
    this.job = Date.now();
    this.progress(0);
    try {
      const { fields } = await this.socket.request("export", {
        session: clip.session,
        job: this.job,
        format: byId("export-format").value,
        first,
        last,
        objects: wanted.map((one) => one.id),
        ...(isRefined ? { edges: "refined" } : {}),
      });
      if (fields.ended === "done") this.done(fields.path);
    } finally {
      this.job = null;
      this.progress(null);
    }
  }

  /** @param {string} path */
  done(path) {
    const name = path.split("/").pop() ?? path;
    const isFile = /\.\w+$/.test(name) && !name.endsWith(".yolo");
    const address = `/download?path=${encodeURIComponent(path)}&token=${encodeURIComponent(this.token)}`;
    const save = element("a", { href: address, download: name }, "Save a copy…");
    const text = element("code", {}, path);
    byId("exported").prepend(element("p", {}, "Written to ", text, " ", ...(isFile ? [save] : [])));
    notify(`${name} is written.`);
  }

  /** End what is being written; nothing is left of it. */
  cancel() {
    if (this.job !== null) this.socket.notify("cancel", { job: this.job });
    else byId("export-dialog").close();
  }

  /** @param {number|null} fraction that is written; null where nothing is being written */
  progress(fraction) {
    byId("export-progress").hidden = fraction === null;
    byId("export-progress").value = fraction ?? 0;
    byId("export-run").disabled = fraction !== null;
    byId("export-cancel").textContent = fraction === null ? "Close" : "Cancel";
  }
}
