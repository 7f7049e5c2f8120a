/** The list of objects: choose, name, colour, show, lock, remove. */

import { byId, element, iconButton } from "./dom.js";

/** @typedef {import("./state.js").TrackedObject} TrackedObject */

export class ObjectList {
  /**
   * @param {import("./state.js").State} state
   * @param {import("./masks.js").MaskStore} masks
   * @param {import("./editing.js").Editing} editing
   * @param {(work: () => any) => void} attempt tells people of errors
   */
  constructor(state, masks, editing, attempt) {
    this.state = state;
    this.masks = masks;
    this.editing = editing;
    this.attempt = attempt;
    this.list = byId("objects");
    byId("new-object").addEventListener("click", () => attempt(() => editing.newObject()));
    state.on(["objects", "clip"], () => this.show());
    state.on(["frame", "masks"], () => this.showScores());
  }

  show() {
    const { objects } = this.state.draft;
    const focused = document.activeElement?.id;
    this.list.replaceChildren(...objects.map((one) => this.row(one)));
    byId("no-objects").hidden = objects.length > 0;
    byId("new-object").disabled = !this.state.clip;
    if (focused) document.getElementById(focused)?.focus();
    this.showScores();
  }

  /** @param {TrackedObject} object */
  row(object) {
    const { editing } = this;
    const isActive = object.id === this.state.draft.active;
    /** @param {Partial<TrackedObject>} change */
    const describe = (change) => this.attempt(() => editing.describe(object, change));
    const name = element("input", {
      class: "name",
      id: `name-${object.id}`,
      value: object.name,
      maxlength: 60,
      "aria-label": `Name of ${object.name}`,
      onchange: () => describe({ name: name.value.trim() || object.name }),
      onfocus: () => editing.activate(object.id),
    });
    const colour = element("input", {
      type: "color",
      id: `colour-${object.id}`,
      value: object.colour,
      "aria-label": `Colour of ${object.name}`,
      title: "Colour",
      onchange: () => describe({ colour: colour.value }),
    });
    const eye = object.visible ? "eye" : "eye-off";
    const lock = object.locked ? "lock" : "unlock";
    return element(
      "li",
      {
        class: isActive ? "object active" : "object",
        "aria-current": isActive ? "true" : null,
        "data-object": object.id,
        onclick: (/** @type {MouseEvent} */ event) => {
          if (event.target instanceof HTMLLIElement || event.target instanceof HTMLSpanElement) {
            editing.activate(object.id);
          }
        },
      },
      colour,
      name,
      element("span", { class: "score", title: "Predicted IoU on this frame" }),
      iconButton(eye, `Show ${object.name}`, () => describe({ visible: !object.visible }), {
        id: `eye-${object.id}`,
        "aria-pressed": String(object.visible),
      }),
      iconButton(lock, `Lock ${object.name}`, () => describe({ locked: !object.locked }), {
        id: `lock-${object.id}`,
        "aria-pressed": String(object.locked),
      }),
      iconButton("bin", `Remove ${object.name}`, () => this.attempt(() => editing.remove(object))),
    );
  }

  /** Only the scores: they change with every frame. */
  showScores() {
    const { frame } = this.state;
    for (const row of this.list.children) {
      const { iou, presence } = this.masks.scores.track(Number(row.dataset.object));
      const text = Number.isNaN(iou[frame]) || iou[frame] === undefined
        ? "" : presence[frame] <= 0 ? "gone" : iou[frame].toFixed(2);
      row.querySelector(".score").textContent = text;
    }
  }
}
