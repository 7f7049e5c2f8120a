/** The list of objects: choose, name, colour, show, lock, remove. */

import { byId, element, iconButton } from "./dom.js";

/** @typedef {import("./state.js").TrackedObject} TrackedObject */

/**
 * What a row of the list consists of; rows stay as long as their objects do, so that nobody who
 * types or tabs loses the place.
 * @typedef {object} Row
 * @property {HTMLLIElement} item
 * @property {HTMLInputElement} name
 * @property {HTMLInputElement} colour
 * @property {HTMLElement} score
 * @property {HTMLButtonElement} eye
 * @property {HTMLButtonElement} lock
 * @property {HTMLButtonElement} bin
 */

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
    /** @type {Map<number, Row>} */
    this.rows = new Map();
    byId("new-object").addEventListener("click", () => attempt(() => editing.newObject()));
    state.on(["objects", "clip"], () => this.show());
    state.on(["frame", "masks"], () => this.showScores());
  }

  show() {
    const { objects } = this.state.draft;
    const ids = new Set(objects.map((one) => one.id));
    for (const [id, { item }] of this.rows) {
      if (ids.has(id)) continue;
      item.remove();
      this.rows.delete(id);
    }
    const list = byId("objects");
    objects.forEach((object, place) => {
      const row = this.rows.get(object.id) ?? this.makeRow(object.id);
      this.fill(row, object);
      if (list.children[place] !== row.item) list.insertBefore(row.item, list.children[place] ?? null);
    });
    byId("no-objects").hidden = objects.length > 0;
    byId("new-object").disabled = !this.state.clip;
    this.showScores();
  }

  /**
   * @param {number} id
   * @returns {Row}
   */
  makeRow(id) {
    const { editing } = this;
    /** @param {(object: TrackedObject) => any} work */
    const act = (work) =>
      this.attempt(() => {
        const object = this.state.object(id);
        return object && work(object);
      });
    /** @param {(object: TrackedObject) => Partial<TrackedObject>} change */
    const describe = (change) => act((object) => editing.describe(object, change(object)));
    const name = element("input", {
      class: "name",
      id: `name-${id}`,
      maxlength: 60,
      onchange: () => describe((object) => ({ name: name.value.trim() || object.name })),
    });
    const colour = element("input", {
      type: "color",
      id: `colour-${id}`,
      title: "Colour",
      onchange: () => describe(() => ({ colour: colour.value })),
    });
    const score = element("span", { class: "score", title: "Predicted IoU on this frame" });
    const eye = iconButton("eye", "", () => describe(({ visible }) => ({ visible: !visible })));
    const lock = iconButton("lock", "", () => describe(({ locked }) => ({ locked: !locked })));
    const bin = iconButton("bin", "", () => act((object) => editing.remove(object)));
    const item = element(
      "li",
      { class: "object", onfocusin: () => editing.activate(id), onclick: () => editing.activate(id) },
      colour, name, score, eye, lock, bin,
    );
    const row = { item, name, colour, score, eye, lock, bin };
    this.rows.set(id, row);
    return row;
  }

  /**
   * @param {Row} row
   * @param {TrackedObject} object
   */
  fill({ item, name, colour, eye, lock, bin }, object) {
    const isActive = object.id === this.state.draft.active;
    item.classList.toggle("active", isActive);
    if (isActive) item.setAttribute("aria-current", "true");
    else item.removeAttribute("aria-current");
    if (document.activeElement !== name) name.value = object.name;
    name.setAttribute("aria-label", `Name of ${object.name}`);
    colour.value = object.colour;
    colour.setAttribute("aria-label", `Colour of ${object.name}`);
    toggle(eye, object.visible, object.visible ? "eye" : "eye-off", `Show ${object.name}`);
    toggle(lock, object.locked, object.locked ? "lock" : "unlock", `Lock ${object.name}`);
    bin.setAttribute("aria-label", `Remove ${object.name}`);
    bin.title = "Remove";
  }

  /** Only the scores: they change with every frame. */
  showScores() {
    const { frame } = this.state;
    for (const [id, { score }] of this.rows) {
      const { iou, presence } = this.masks.scores.track(id);
      const text = presence[frame] <= 0 ? "gone" : iou[frame]?.toFixed(2);
      score.textContent = Number.isNaN(iou[frame]) ? "" : text ?? "";
    }
  }
}

/**
 * @param {HTMLButtonElement} button
 * @param {boolean} isOn
 * @param {string} icon
 * @param {string} label
 */
function toggle(button, isOn, icon, label) {
  button.setAttribute("aria-pressed", String(isOn));
  button.setAttribute("aria-label", label);
  button.title = label.split(" ")[0];
  button.querySelector("use")?.setAttribute("href", `#icon-${icon}`);
}
