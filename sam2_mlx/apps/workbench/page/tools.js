/** Pointer and wheel on the stage: clicks, boxes, the brush, zoom and pan. */

import { strokeBox } from "./canvas/view.js";
import { Brush } from "./brush.js";
import { Hover } from "./hover.js";

const DRAG_PIXELS = 5; // a press that moves less is a click
const WHEEL_ZOOM = 0.0015;

/**
 * @typedef {object} Drag
 * @property {"prompt"|"pan"|"brush"} kind
 * @property {number} pointer
 * @property {number} x where it began, in pixels of the screen
 * @property {number} y
 * @property {boolean} moved
 * @property {boolean} subtracts
 */

export class Tools {
  /**
   * @param {import("./canvas/view.js").View} view
   * @param {import("./editing.js").Editing} editing
   * @param {import("./everything.js").Everything} everything
   * @param {import("./socket.js").Socket} socket
   * @param {(work: () => any) => void} attempt tells people of errors
   */
  constructor(view, editing, everything, socket, attempt) {
    this.view = view;
    this.state = view.state;
    this.editing = editing;
    this.everything = everything;
    this.attempt = attempt;
    this.brush = new Brush(view);
    this.hover = new Hover(view, socket);
    /** @type {Drag|null} */
    this.drag = null;
    /** @type {[number, number]|null} the pointer, or the crosshair of the keyboard; screen pixels */
    this.pointer = null;
    this.spaceIsDown = false;
    view.sketches.push((context) => this.sketch(context));
    this.listen(view.canvas);
    this.state.on(["tool", "clip"], () => this.setCursor());
  }

  /** @param {HTMLCanvasElement} canvas */
  listen(canvas) {
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.release(event));
    canvas.addEventListener("pointercancel", () => this.abort());
    canvas.addEventListener("pointerleave", () => this.leave());
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("dblclick", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.turnWheel(event), { passive: false });
  }

  /** @param {PointerEvent} event */
  press(event) {
    if (!this.state.clip || this.drag) return;
    this.view.canvas.focus();
    this.view.canvas.setPointerCapture(event.pointerId);
    const { offsetX: x, offsetY: y } = event;
    const pans = event.button === 1 || this.spaceIsDown || this.state.tool === "hand";
    const paints = this.state.tool === "brush" && !this.state.found;
    const kind = pans ? "pan" : paints ? "brush" : "prompt";
    const subtracts = event.button === 2 || event.shiftKey;
    this.drag = { kind, pointer: event.pointerId, x, y, moved: false, subtracts };
    this.hover.stop();
    if (kind === "brush") {
      this.brush.begin(subtracts !== this.state.brush.erase);
      this.brush.paint(x, y);
    }
    this.setCursor();
  }

  /** @param {PointerEvent} event */
  move(event) {
    const { offsetX: x, offsetY: y } = event;
    const before = this.pointer;
    this.pointer = [x, y];
    if (!this.drag) {
      if (this.state.tool === "point" && !this.spaceIsDown) this.hover.rest(x, y, event.shiftKey);
      else this.hover.stop();
      if (this.state.tool === "brush") this.view.redraw();
      return;
    }
    if (Math.hypot(x - this.drag.x, y - this.drag.y) > DRAG_PIXELS) this.drag.moved = true;
    if (this.drag.kind === "pan" && before) {
      this.view.viewport.pan(x - before[0], y - before[1]);
      this.view.moved();
    } else if (this.drag.kind === "brush") {
      this.brush.paint(x, y);
    }
    this.view.redraw();
  }

  /** @param {PointerEvent} event */
  release(event) {
    const { drag } = this;
    if (!drag || event.pointerId !== drag.pointer) return;
    this.drag = null;
    this.setCursor();
    if (drag.kind === "brush") {
      this.attempt(() => this.finishStroke());
    } else if (drag.kind === "prompt") {
      if (drag.moved && !this.state.found) this.finishBox(drag, event.offsetX, event.offsetY);
      else this.click(drag.x, drag.y, drag.subtracts);
    }
    this.view.redraw();
  }

  async finishStroke() {
    try {
      const mask = this.brush.end();
      if (mask) await this.editing.setMask(mask);
    } finally {
      this.brush.clear();
    }
  }

  /** Give up what is being drawn. */
  abort() {
    const was = this.drag !== null;
    this.drag = null;
    this.brush.clear();
    this.setCursor();
    this.view.redraw();
    return was;
  }

  leave() {
    this.pointer = null;
    this.hover.stop();
    this.view.redraw();
  }

  /**
   * @param {number} x in pixels of the screen
   * @param {number} y
   * @param {boolean} subtracts
   */
  click(x, y, subtracts) {
    const { clip } = this.state;
    const [px, py] = this.view.viewport.toPicture(x, y).map((one) => Math.round(one * 10) / 10);
    if (!clip || px < 0 || py < 0 || px >= clip.width || py >= clip.height) return;
    if (this.state.found) return this.everything.choose(px, py);
    this.attempt(() => this.editing.addPoint(px, py, subtracts ? 0 : 1));
  }

  /**
   * @param {Drag} drag
   * @param {number} x
   * @param {number} y
   */
  finishBox(drag, x, y) {
    const box = this.box(drag, x, y);
    if (box[2] > box[0] && box[3] > box[1]) this.attempt(() => this.editing.setBox(box));
  }

  /**
   * The box of a drag in whole pixels, cut at the picture's border.
   * @param {Drag} drag
   * @param {number} x
   * @param {number} y
   * @returns {[number, number, number, number]}
   */
  box(drag, x, y) {
    const { width, height } = this.view.viewport.picture;
    const [ax, ay] = this.view.viewport.toPicture(drag.x, drag.y);
    const [bx, by] = this.view.viewport.toPicture(x, y);
    /** @type {(value: number, end: number) => number} */
    const inside = (value, end) => Math.min(Math.max(Math.round(value), 0), end);
    return [
      inside(Math.min(ax, bx), width),
      inside(Math.min(ay, by), height),
      inside(Math.max(ax, bx), width),
      inside(Math.max(ay, by), height),
    ];
  }

  /** @param {WheelEvent} event */
  turnWheel(event) {
    if (!this.state.clip) return;
    event.preventDefault();
    const { viewport } = this.view;
    if (event.shiftKey) viewport.pan(-event.deltaX, -event.deltaY);
    else viewport.zoom(Math.exp(-event.deltaY * WHEEL_ZOOM), event.offsetX, event.offsetY);
    this.view.moved();
  }

  /**
   * Move the crosshair of the keyboard, which begins in the middle.
   * @param {number} dx in pixels of the screen
   * @param {number} dy
   */
  nudge(dx, dy) {
    const { width, height } = this.view.viewport.stage;
    const [x, y] = this.pointer ?? [width / 2, height / 2];
    this.pointer = [Math.min(Math.max(x + dx, 0), width), Math.min(Math.max(y + dy, 0), height)];
    this.hover.rest(...this.pointer, false);
    this.view.redraw();
  }

  /** @param {boolean} subtracts */
  clickAtPointer(subtracts) {
    if (this.pointer) this.click(...this.pointer, subtracts);
  }

  setCursor() {
    const { tool, clip } = this.state;
    const hand = tool === "hand" || this.spaceIsDown;
    const grabbed = this.drag?.kind === "pan";
    const cursor = grabbed ? "grabbing" : hand ? "grab" : tool === "brush" ? "none" : "crosshair";
    this.view.canvas.style.cursor = clip ? cursor : "default";
  }

  /** @param {CanvasRenderingContext2D} context */
  sketch(context) {
    const { drag, pointer, state } = this;
    if (drag?.kind === "prompt" && drag.moved && pointer && !state.found) {
      const colour = state.active?.colour ?? "#ffffff";
      strokeBox(context, this.view.viewport, this.box(drag, ...pointer), colour);
    }
    if (pointer && state.tool === "brush" && state.clip) this.brush.drawTip(context, pointer);
    if (pointer && document.activeElement === this.view.canvas && !drag && state.tool === "point") {
      drawCrosshair(context, pointer);
    }
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {[number, number]} place in pixels of the screen
 */
function drawCrosshair(context, [x, y]) {
  for (const [style, width] of /** @type {const} */ ([["#000a", 3], ["#fff", 1]])) {
    context.strokeStyle = style;
    context.lineWidth = width;
    context.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(x + 5 * dx, y + 5 * dy);
      context.lineTo(x + 12 * dx, y + 12 * dy);
    }
    context.stroke();
  }
}
