/** What computes: the model, its size and the device; and how to change it. */

import { byId } from "./dom.js";

export class Models {
  /**
   * @param {import("./state.js").State} state
   * @param {import("./socket.js").Socket} socket
   * @param {() => Promise<void>} onChange called when another model is there
   * @param {(work: () => any) => void} attempt tells people of errors
   */
  constructor(state, socket, onChange, attempt) {
    this.state = state;
    this.socket = socket;
    this.onChange = onChange;
    this.job = 0;
    this.dialog = byId("model-dialog");
    byId("model").addEventListener("click", () => this.open());
    byId("model-form").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      attempt(() => this.load());
    });
    byId("model-cancel").addEventListener("click", () => this.cancel());
    socket.addEventListener("event", (event) => {
      const { fields } = /** @type {CustomEvent} */ (event).detail;
      if (fields.event === "progress" && fields.job === this.job) this.progress(fields.fraction);
    });
    state.on(["model"], () => this.show());
  }

  /** The line at the top of the page. */
  show() {
    const { model } = this.state;
    byId("model").textContent = model
      ? `${model.name} · ${model.image_size} px · ${model.device.toUpperCase()} ${model.dtype}`
      : "No model";
  }

  open() {
    this.progress(null);
    const { model } = this.state;
    if (model) byId("model-size").placeholder = String(model.image_size);
    this.dialog.showModal();
  }

  async load() {
    this.state.requireRest();
    const size = Number(byId("model-size").value);
    this.job = Date.now();
    this.progress(0);
    byId("model-load").disabled = true;
    try {
      const { fields } = await this.socket.request("load_model", {
        model: byId("model-name").value.trim(),
        dtype: byId("model-dtype").value,
        image_size: size || null,
        job: this.job,
      });
      this.state.model = fields;
      this.state.changed("model");
      this.dialog.close();
      await this.onChange();
    } finally {
      byId("model-load").disabled = false;
      this.progress(null);
    }
  }

  cancel() {
    this.socket.notify("cancel", { job: this.job });
    this.dialog.close();
  }

  /** @param {number|null} fraction of a download that is done; null where nothing is loaded */
  progress(fraction) {
    const bar = byId("model-progress");
    bar.hidden = fraction === null;
    if (fraction) bar.value = fraction;
    else bar.removeAttribute("value");
  }
}
