/** The stage: the frame, its masks, what was pointed at, and what a tool is about to do. */

import { blankCanvas, drawnOnce } from "../dom.js";
import { foundColour } from "../everything.js";
import { drawMasks } from "./overlay.js";
import { Viewport } from "./viewport.js";

const PIXELATED_FROM = 3; // scale from which pixels are seen as squares
const MARK_RADIUS = 6;

/**
 * What a tool draws on top, in pixels of the screen.
 * @callback Sketch
 * @param {CanvasRenderingContext2D} context
 * @param {Viewport} viewport
 */

export class View {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {import("../state.js").State} state
   * @param {import("../masks.js").MaskStore} masks
   * @param {(view: View) => import("../frames.js").FrameStore} makeFrames
   */
  constructor(canvas, state, masks, makeFrames) {
    this.canvas = canvas;
    this.state = state;
    this.masks = masks;
    this.viewport = new Viewport();
    this.frames = makeFrames(this);
    /** @type {Sketch[]} */
    this.sketches = [];
    /** @type {{key: string, canvas: HTMLCanvasElement}|null} masks as drawn last */
    this.overlay = null;
    /** The frame whose picture is drawn: the one before, while the next is on its way. */
    this.shown = 0;
    /** @type {number|null} id of an object that a tool draws in place of its mask */
    this.hidden = null;
    /** Draw anew before the screen does. */
    this.redraw = drawnOnce(() => this.draw());
    new ResizeObserver(() => this.resize()).observe(canvas);
    state.on(["clip"], () => this.showClip());
    state.on(["frame", "masks", "objects", "look", "tool", "found"], () => this.redraw());
  }

  resize() {
    const ratio = window.devicePixelRatio;
    const { clientWidth, clientHeight } = this.canvas;
    this.canvas.width = Math.round(clientWidth * ratio);
    this.canvas.height = Math.round(clientHeight * ratio);
    this.viewport.resize({ width: clientWidth, height: clientHeight });
    this.moved();
  }

  showClip() {
    if (this.state.clip) this.viewport.show(this.state.clip);
    this.moved();
  }

  /** Zoom or place of the picture changed. */
  moved() {
    const { clip } = this.state;
    if (clip) this.frames.setWidth(clip.width * this.viewport.scale * window.devicePixelRatio);
    this.redraw();
  }

  draw() {
    const context = this.canvas.getContext("2d");
    if (!context) return;
    const ratio = window.devicePixelRatio;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (!this.state.clip) return;
    if (this.frames.at(this.state.frame)) this.shown = this.state.frame;
    context.imageSmoothingEnabled = this.viewport.scale < PIXELATED_FROM;
    context.imageSmoothingQuality = "high";
    this.drawPicture(context);
    if (this.state.found) this.drawFound(context, this.state.found);
    else this.drawPrompt(context);
    for (const sketch of this.sketches) sketch(context, this.viewport);
    this.canvas.dataset.frame = String(this.shown);
  }

  /** @param {CanvasRenderingContext2D} context */
  drawPicture(context) {
    const picture = this.frames.at(this.shown);
    const { mode } = this.state.look;
    const { x, y, scale } = this.viewport;
    const { width, height } = this.viewport.picture;
    const place = /** @type {const} */ ([x, y, width * scale, height * scale]);
    if (mode === "matte") {
      context.fillStyle = "#000";
      context.fillRect(...place);
    } else if (mode === "cutout") {
      drawCheckerboard(context, ...place);
      if (picture) context.drawImage(this.cutOut(picture), ...place);
      return;
    } else if (picture) {
      context.drawImage(picture, ...place);
    }
    const isBare = mode === "picture" || this.state.found;
    if (!isBare) context.drawImage(this.drawnMasks(), ...place);
  }

  /**
   * What was found: outlines, and what is chosen filled.
   * @param {CanvasRenderingContext2D} context
   * @param {import("../state.js").Found} found
   */
  drawFound(context, { masks, chosen }) {
    const { x, y, scale, picture } = this.viewport;
    const step = Math.max(1, Math.floor(1 / (scale * window.devicePixelRatio)));
    for (const isChosen of [false, true]) {
      const layers = masks
        .filter((mask) => chosen.has(mask.object) === isChosen)
        .map((mask) => ({ mask, colour: foundColour(mask.object) }))
        .reverse();
      const look = { opacity: isChosen ? 0.7 : 0, outline: true };
      const drawing = drawMasks(layers, picture, step, look);
      context.drawImage(drawing, x, y, picture.width * scale, picture.height * scale);
    }
  }

  /** The masks of the objects that are visible, as the look has them. */
  drawnMasks() {
    const { state } = this;
    const { mode, opacity, outline } = state.look;
    const ratio = window.devicePixelRatio;
    const step = Math.max(1, Math.floor(1 / (this.viewport.scale * ratio)));
    const colours = state.draft.objects.map((one) => this.isDrawn(one) && one.id + one.colour);
    const key = [this.shown, this.masks.revision, step, mode, opacity, outline, colours].join();
    if (this.overlay?.key !== key) {
      const solid = { opacity: 1, outline: false };
      const layers = this.layers(mode === "overlay" ? null : "#ffffff");
      const look = mode === "overlay" ? { opacity, outline } : solid;
      this.overlay = { key, canvas: drawMasks(layers, this.viewport.picture, step, look) };
    }
    return this.overlay.canvas;
  }

  /**
   * @param {string|null} colour in place of the objects' own
   * @returns {import("./overlay.js").Layer[]}
   */
  layers(colour) {
    const masks = this.masks.at(this.shown);
    return this.state.draft.objects.flatMap((object) => {
      const mask = masks.find((one) => one.object === object.id);
      return mask && this.isDrawn(object) ? [{ mask, colour: colour ?? object.colour }] : [];
    });
  }

  /** @param {import("../state.js").TrackedObject} object */
  isDrawn(object) {
    return object.visible && object.id !== this.hidden;
  }

  /** @param {ImageBitmap} picture */
  cutOut(picture) {
    const canvas = blankCanvas(picture.width, picture.height);
    const context = canvas.getContext("2d");
    context?.drawImage(this.drawnMasks(), 0, 0, picture.width, picture.height);
    if (context) context.globalCompositeOperation = "source-in";
    context?.drawImage(picture, 0, 0);
    return canvas;
  }

  /** @param {CanvasRenderingContext2D} context */
  drawPrompt(context) {
    const { prompt, active } = this.state;
    if (!prompt || !active?.visible || this.shown !== this.state.frame) return;
    if (prompt.box) strokeBox(context, this.viewport, prompt.box, active.colour);
    prompt.points.forEach(([x, y], index) => {
      drawMark(context, ...this.viewport.toScreen(x, y), prompt.labels[index] === 1);
    });
  }
}

/**
 * A box as four lines that are seen on light and on dark.
 * @param {CanvasRenderingContext2D} context
 * @param {Viewport} viewport
 * @param {[number, number, number, number]} box in pixels of the picture
 * @param {string} colour
 */
export function strokeBox(context, viewport, [x0, y0, x1, y1], colour) {
  const [left, top] = viewport.toScreen(x0, y0);
  const [right, bottom] = viewport.toScreen(x1, y1);
  for (const [style, width] of /** @type {const} */ ([["#000a", 4], [colour, 2]])) {
    context.strokeStyle = style;
    context.lineWidth = width;
    context.strokeRect(left, top, right - left, bottom - top);
  }
}

/**
 * A click: a plus on the object, a minus beside it.
 * @param {CanvasRenderingContext2D} context
 * @param {number} x in pixels of the screen
 * @param {number} y
 * @param {boolean} on
 */
export function drawMark(context, x, y, on) {
  context.beginPath();
  context.arc(x, y, MARK_RADIUS + 1, 0, 2 * Math.PI);
  context.fillStyle = on ? "#128a3e" : "#c62828";
  context.fill();
  context.strokeStyle = "#fff";
  context.lineWidth = 1.5;
  context.stroke();
  context.beginPath();
  context.moveTo(x - MARK_RADIUS / 2, y);
  context.lineTo(x + MARK_RADIUS / 2, y);
  if (on) {
    context.moveTo(x, y - MARK_RADIUS / 2);
    context.lineTo(x, y + MARK_RADIUS / 2);
  }
  context.stroke();
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number} x
 * @param {number} y
 * @param {number} width
 * @param {number} height
 */
function drawCheckerboard(context, x, y, width, height) {
  const side = 8;
  const tile = blankCanvas(2 * side, 2 * side);
  const squares = tile.getContext("2d");
  if (!squares) return;
  squares.fillStyle = "#9a9a9a";
  squares.fillRect(0, 0, 2 * side, 2 * side);
  squares.fillStyle = "#6c6c6c";
  squares.fillRect(0, 0, side, side);
  squares.fillRect(side, side, side, side);
  const pattern = context.createPattern(tile, "repeat");
  if (!pattern) return;
  context.fillStyle = pattern;
  context.fillRect(x, y, width, height);
}
