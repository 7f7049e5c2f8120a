/** What can be done, with the keys for it; the buttons of the page name the same keys. */

import { byId } from "./dom.js";
import { nextMode } from "./look.js";
import { notify } from "./notices.js";

const NUDGE = 8; // pixels of the screen
const BRUSH_STEP = 1.2;

/**
 * @param {import("./main.js").Page} page
 * @returns {import("./keys.js").Group[]}
 */
export function shortcuts(page) {
  return [
    { title: "Point", shortcuts: pointing(page) },
    { title: "Track", shortcuts: following(page) },
    { title: "Move in time", shortcuts: moving(page) },
    { title: "Objects", shortcuts: objects(page) },
    { title: "Look", shortcuts: looking(page) },
    { title: "Page", shortcuts: general(page) },
  ];
}

/**
 * @param {import("./main.js").Page} page
 * @returns {import("./keys.js").Shortcut[]}
 */
function pointing({ state, tools, editing }) {
  /** @param {typeof state.tool} tool */
  const take = (tool, erase = false) => {
    state.tool = tool;
    state.brush.erase = erase;
    state.changed("tool");
  };
  /** @param {number} factor */
  const resize = (factor) => {
    state.brush.size = Math.min(Math.max(Math.round(state.brush.size * factor), 2), 200);
    state.changed("tool");
  };
  return [
    { keys: ["v"], does: "Clicks and boxes", run: () => take("point") },
    { keys: ["b"], does: "Brush", run: () => take("brush") },
    { keys: ["e"], does: "Eraser", run: () => take("brush", true) },
    { keys: ["["], does: "Smaller brush", run: () => resize(1 / BRUSH_STEP) },
    { keys: ["]"], does: "Larger brush", run: () => resize(BRUSH_STEP) },
    { keys: ["h"], does: "Hand: drag moves the picture", run: () => take("hand") },
    { keys: ["Alt+ArrowLeft"], does: "Crosshair left", run: () => tools.nudge(-NUDGE, 0) },
    { keys: ["Alt+ArrowRight"], does: "Crosshair right", run: () => tools.nudge(NUDGE, 0) },
    { keys: ["Alt+ArrowUp"], does: "Crosshair up", run: () => tools.nudge(0, -NUDGE) },
    { keys: ["Alt+ArrowDown"], does: "Crosshair down", run: () => tools.nudge(0, NUDGE) },
    { keys: ["Enter"], does: "Click at the crosshair", run: () => tools.clickAtPointer(false) },
    {
      keys: ["Shift+Enter"],
      does: "Subtract at the crosshair",
      run: () => tools.clickAtPointer(true),
    },
    {
      keys: ["Backspace"],
      does: "Forget what was pointed at on this frame",
      run: () => editing.clearFrame(),
    },
  ];
}

/**
 * @param {import("./main.js").Page} page
 * @returns {import("./keys.js").Shortcut[]}
 */
function following({ state, tracking, tools, editing, everything }) {
  const cancel = () => {
    if (state.found) everything.leave();
    else if (!tools.abort()) tracking.cancel();
  };
  return [
    { keys: ["t"], does: "Track forward", run: () => tracking.run("forward") },
    { keys: ["Shift+T"], does: "Track back", run: () => tracking.run("back") },
    { keys: ["y"], does: "Track both ways", run: () => tracking.run("both") },
    { keys: ["r"], does: "Track one frame", run: () => tracking.run("one") },
    {
      keys: ["Escape"],
      does: "Cancel the tracking, or what is being drawn",
      run: cancel,
    },
    { keys: ["i"], does: "In marker here", run: () => editing.mark(0, state.frame) },
    { keys: ["o"], does: "Out marker here", run: () => editing.mark(1, state.frame) },
  ];
}

/**
 * @param {import("./main.js").Page} page
 * @returns {import("./keys.js").Shortcut[]}
 */
function moving({ state, transport, editing }) {
  /** @param {1|-1} direction */
  const toProblem = (direction) => {
    const problem = transport.stepToProblem(direction);
    if (!problem) return notify("Nothing is doubtful and nothing gets lost any further.");
    editing.activate(problem.object);
    const name = state.active?.name;
    notify(problem.kind === "gone" ? `${name} goes out of sight here.` : `${name} is doubtful here.`);
  };
  const last = () => (state.clip?.frames ?? 1) - 1;
  return [
    { keys: [" "], does: "Play or stop", run: () => transport.togglePlay() },
    { keys: ["ArrowLeft"], does: "One frame back", run: () => transport.step(-1) },
    { keys: ["ArrowRight"], does: "One frame on", run: () => transport.step(1) },
    { keys: ["Shift+ArrowLeft"], does: "Ten frames back", run: () => transport.step(-10) },
    { keys: ["Shift+ArrowRight"], does: "Ten frames on", run: () => transport.step(10) },
    { keys: ["Home"], does: "First frame", run: () => transport.step(-state.frame) },
    { keys: ["End"], does: "Last frame", run: () => transport.step(last() - state.frame) },
    { keys: ["."], does: "Next prompted frame", run: () => transport.stepToPrompt(1) },
    { keys: [","], does: "Prompted frame before", run: () => transport.stepToPrompt(-1) },
    { keys: ["l"], does: "Next low score or disappearance", run: () => toProblem(1) },
    { keys: ["Shift+L"], does: "The one before", run: () => toProblem(-1) },
  ];
}

/**
 * @param {import("./main.js").Page} page
 * @returns {import("./keys.js").Shortcut[]}
 */
function objects({ state, editing, everything }) {
  /** @param {number} place */
  const choose = (place) => {
    const object = state.draft.objects[place];
    if (object) editing.activate(object.id);
  };
  /** @param {"visible"|"locked"} what */
  const toggle = (what) => {
    const { active } = state;
    return active && editing.describe(active, { [what]: !active[what] });
  };
  const digits = [..."123456789"];
  return [
    { keys: ["n"], does: "New object", run: () => editing.newObject() },
    { keys: ["a"], does: "Find everything on this frame", run: () => everything.find() },
    ...digits.map((digit, place) => ({
      keys: [digit],
      does: place ? "" : "Choose the first object, and so on to 9",
      run: () => choose(place),
    })),
    {
      keys: ["F2"],
      does: "Name the object",
      run: () => /** @type {HTMLInputElement|null} */ (
        document.getElementById(`name-${state.draft.active}`)
      )?.select(),
    },
    { keys: ["s"], does: "Show or hide the object", run: () => toggle("visible") },
    { keys: ["Shift+S"], does: "Lock or unlock the object", run: () => toggle("locked") },
    {
      keys: ["Delete"],
      does: "Remove the object",
      run: () => state.active && editing.remove(state.active),
    },
  ];
}

/**
 * @param {import("./main.js").Page} page
 * @returns {import("./keys.js").Shortcut[]}
 */
function looking({ state, view }) {
  /** @param {number} factor */
  const zoom = (factor) => {
    view.viewport.zoom(factor);
    view.moved();
  };
  /** @param {number} step */
  const fade = (step) => {
    state.look.opacity = Math.min(Math.max(state.look.opacity + step, 0), 1);
    state.changed("look");
  };
  const fit = () => {
    view.viewport.fit();
    view.moved();
  };
  return [
    { keys: ["+", "="], does: "Zoom in", run: () => zoom(1.25) },
    { keys: ["-"], does: "Zoom out", run: () => zoom(0.8) },
    { keys: ["0"], does: "Whole picture", run: fit },
    { keys: ["m"], does: "Overlay, cut-out, mask only, picture only", run: () => nextMode(state) },
    { keys: ["Shift+ArrowUp"], does: "More overlay", run: () => fade(0.1) },
    { keys: ["Shift+ArrowDown"], does: "Less overlay", run: () => fade(-0.1) },
    {
      keys: ["Shift+O"],
      does: "Outline",
      run: () => {
        state.look.outline = !state.look.outline;
        state.changed("look");
      },
    },
    { keys: ["f"], does: "Full screen", run: toggleFullScreen },
  ];
}

/**
 * @param {import("./main.js").Page} page
 * @returns {import("./keys.js").Shortcut[]}
 */
function general({ state, history, opening, exporting }) {
  return [
    { keys: ["Mod+z"], does: "Undo", run: () => (state.requireRest(), history.undo()) },
    { keys: ["Mod+Shift+Z", "Mod+y"], does: "Redo", run: () => (state.requireRest(), history.redo()) },
    { keys: ["Mod+o"], does: "Open", run: () => opening.offer() },
    { keys: ["Mod+e"], does: "Export", run: () => exporting.open() },
    { keys: ["?"], does: "These keys", run: () => byId("keys-dialog").showModal() },
  ];
}

function toggleFullScreen() {
  if (document.fullscreenElement) return document.exitFullscreen();
  return document.documentElement.requestFullscreen();
}
