/** Painting the mask of the active object, or erasing parts of it. */

import { drawMasks } from "./canvas/overlay.js";
import { blankCanvas } from "./dom.js";
import { packBits } from "./runs.js";

export class Brush {
  /** @param {import("./canvas/view.js").View} view */
  constructor(view) {
    this.view = view;
    this.state = view.state;
    /** @type {HTMLCanvasElement|null} the mask being painted, at the picture's size */
    this.canvas = null;
    /** @type {[number, number]|null} the last place of the stroke, in pixels of the picture */
    this.last = null;
    this.erases = false;
    view.sketches.push((context, viewport) => this.draw(context, viewport));
  }

  /**
   * Begin a stroke on the object's mask.
   * @param {boolean} erases
   */
  begin(erases) {
    const { clip, active, frame } = this.state;
    if (!clip) return;
    const mask = this.view.masks.at(frame).find((one) => one.object === active?.id);
    const layers = mask ? [{ mask, colour: "#ffffff" }] : [];
    this.canvas = drawMasks(layers, clip, 1, { opacity: 1, outline: false });
    this.view.hidden = active?.id ?? null;
    this.erases = erases;
    this.last = null;
  }

  /**
   * @param {number} x in pixels of the screen
   * @param {number} y
   */
  paint(x, y) {
    const context = this.canvas?.getContext("2d");
    if (!context) return;
    const place = this.view.viewport.toPicture(x, y);
    context.globalCompositeOperation = this.erases ? "destination-out" : "source-over";
    context.strokeStyle = "#fff";
    context.lineWidth = this.state.brush.size / this.view.viewport.scale;
    context.lineCap = "round";
    context.beginPath();
    context.moveTo(...(this.last ?? place));
    context.lineTo(...place);
    context.stroke();
    this.last = place;
    this.view.redraw();
  }

  /**
   * End the stroke.
   * @returns {import("./state.js").Prompt["mask"]} null where nothing is painted
   */
  end() {
    const { canvas } = this;
    const data = canvas?.getContext("2d")?.getImageData(0, 0, canvas.width, canvas.height).data;
    if (!canvas || !data) return null;
    const { width, height } = canvas;
    const bits = packBits(data, width, height, 4);
    return bits.some((byte) => byte) ? { width, height, bits } : null;
  }

  clear() {
    this.canvas = null;
    this.view.hidden = null;
    this.view.redraw();
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {import("./canvas/viewport.js").Viewport} viewport
   */
  draw(context, { x, y, scale }) {
    if (!this.canvas) return;
    const { width, height } = this.canvas;
    const tinted = blankCanvas(width, height);
    const tint = tinted.getContext("2d");
    tint?.drawImage(this.canvas, 0, 0);
    if (tint) {
      tint.globalCompositeOperation = "source-in";
      tint.fillStyle = this.state.active?.colour ?? "#ffffff";
      tint.fillRect(0, 0, width, height);
    }
    context.globalAlpha = 0.6;
    context.drawImage(tinted, x, y, width * scale, height * scale);
    context.globalAlpha = 1;
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {[number, number]} place in pixels of the screen
   */
  drawTip(context, [x, y]) {
    const { size, erase } = this.state.brush;
    for (const [style, width] of /** @type {const} */ ([["#000a", 3], [erase ? "#f66" : "#fff", 1.5]])) {
      context.strokeStyle = style;
      context.lineWidth = width;
      context.beginPath();
      context.arc(x, y, size / 2, 0, 2 * Math.PI);
      context.stroke();
    }
  }
}
