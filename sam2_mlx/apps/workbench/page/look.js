/** How masks are shown, which tool is at hand, undo and redo: buttons and sliders that mirror the state. */

import { byId } from "./dom.js";

const MODES = /** @type {const} */ (["overlay", "cutout", "matte", "picture"]);

/** @param {import("./main.js").Page} page */
export function connectLook({ state, history }) {
  const opacity = byId("opacity");
  const outline = byId("outline");
  const brush = byId("brush-size");
  opacity.addEventListener("input", () => {
    state.look.opacity = Number(opacity.value) / 100;
    state.changed("look");
  });
  outline.addEventListener("change", () => {
    state.look.outline = outline.checked;
    state.changed("look");
  });
  brush.addEventListener("input", () => {
    state.brush.size = Number(brush.value);
    state.changed("tool");
  });
  for (const mode of MODES) {
    byId(`mode-${mode}`).addEventListener("change", () => {
      state.look.mode = mode;
      state.changed("look");
    });
  }
  state.on(["look"], () => {
    opacity.value = String(Math.round(state.look.opacity * 100));
    outline.checked = state.look.outline;
    byId(`mode-${state.look.mode}`).checked = true;
  });
  state.on(["tool"], () => {
    for (const name of ["point", "brush", "hand"]) {
      byId(`tool-${name}`).setAttribute("aria-pressed", String(state.tool === name));
    }
    byId("brush-options").hidden = state.tool !== "brush";
    byId("erase").setAttribute("aria-pressed", String(state.brush.erase));
    brush.value = String(state.brush.size);
  });
  state.on(["history", "job", "clip"], () => {
    for (const [id, steps, verb] of /** @type {const} */ ([
      ["undo", history.past, "Undo"],
      ["redo", history.future, "Redo"],
    ])) {
      const last = steps[steps.length - 1];
      const button = byId(id);
      button.disabled = !last || state.job !== null;
      button.title = last ? `${verb} ${last.label}` : verb;
    }
  });
  state.changed("look", "tool");
}

/**
 * The next way to show masks.
 * @param {import("./state.js").State} state
 */
export function nextMode(state) {
  const place = MODES.indexOf(state.look.mode);
  state.look.mode = MODES[(place + 1) % MODES.length];
  state.changed("look");
}
