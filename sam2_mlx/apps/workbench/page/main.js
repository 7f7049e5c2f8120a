/** Puts the page together. */

import { View } from "./canvas/view.js";
import { Browsing } from "./browsing.js";
import { byId } from "./dom.js";
import { Editing } from "./editing.js";
import { Everything } from "./everything.js";
import { Exporting } from "./exporting.js";
import { FrameStore } from "./frames.js";
import { History } from "./history.js";
import { listenToKeys, showKeys } from "./keys.js";
import { MaskStore } from "./masks.js";
import { Models } from "./models.js";
import { attempt, notify } from "./notices.js";
import { ObjectList } from "./objects.js";
import { Opening } from "./opening.js";
import { Projects } from "./projects.js";
import { shortcuts } from "./shortcuts.js";
import { Socket } from "./socket.js";
import { State } from "./state.js";
import { Timeline } from "./timeline.js";
import { Tools } from "./tools.js";
import { Tracking } from "./tracking.js";
import { Transport } from "./transport.js";
import { connectLook } from "./look.js";

const token = new URLSearchParams(location.search).get("token") ?? "";
const address = `ws://${location.host}/socket?token=${encodeURIComponent(token)}`;

const state = new State();
const socket = new Socket(address);
const masks = new MaskStore(state, socket);
const history = new History(state, masks, socket);
const tracking = new Tracking(state, masks, history, socket);
const editing = new Editing(state, masks, history, socket);
const makeFrames = (/** @type {View} */ view) => new FrameStore(state, socket, () => view.redraw());
const view = new View(byId("stage"), state, masks, makeFrames);
const everything = new Everything(state, editing, socket, attempt);
const tools = new Tools(view, editing, everything, socket, attempt);
const timeline = new Timeline(byId("timeline"), state, masks, editing);
const transport = new Transport(state, view.frames, masks, tracking);
const objects = new ObjectList(state, masks, editing, attempt);
const opening = new Opening(state, masks, socket, attempt);
const browsing = new Browsing(socket, opening, attempt);
const exporting = new Exporting(state, socket, token, attempt);
const projects = new Projects(state, history, socket, attempt);
const models = new Models(state, socket, () => projects.save().then(goOn), attempt);

export const page = {
  state, socket, masks, history, tracking, editing, view, tools, timeline, transport, objects,
  opening, browsing, projects, models, everything, exporting,
};
/** @typedef {typeof page} Page */

const groups = shortcuts(page);
listenToKeys(groups, attempt);
showKeys(groups);
connectLook(page);

for (const button of document.querySelectorAll("[data-key]")) {
  const key = button.getAttribute("data-key") ?? "";
  const shortcut = groups.flatMap((group) => group.shortcuts).find((one) => one.keys.includes(key));
  button.addEventListener("click", (event) => {
    // After the mouse the space bar plays, and does not press the button once more.
    if (/** @type {MouseEvent} */ (event).detail) byId("stage").focus();
    attempt(() => shortcut?.run());
  });
}

socket.addEventListener("open", () =>
  attempt(async () => {
    document.body.classList.remove("offline");
    const { fields } = await socket.request("hello", { protocol: 1, app: "workbench" });
    state.model = fields.model;
    state.changed("model", "connection");
    if (state.clip || Projects.remembered()) await goOn();
    else if (fields.opened) await opening.open(fields.opened);
    else await opening.offer();
  }),
);

/** Open once more what is open: with another model, after a restart of the worker, after a reload. */
async function goOn() {
  const { clip, frame } = state;
  const project = clip?.project ?? Projects.remembered();
  if (!project) return clip ? opening.open(clip.path) : undefined;
  const note = await opening.openProject(project);
  if (clip) state.show(frame);
  if (note) notify(note);
}
socket.addEventListener("close", () => {
  document.body.classList.add("offline");
  state.job = null;
  state.changed("job", "connection");
});
window.addEventListener("unhandledrejection", (event) => notify(String(event.reason), "error"));
state.changed("clip", "objects", "job", "model", "tool", "history");
socket.connect();
