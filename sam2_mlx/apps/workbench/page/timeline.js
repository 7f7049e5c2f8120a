/** The time line: for each object and frame presence and predicted IoU, prompts, what to look at. */

import { drawnOnce } from "./dom.js";
import { LOW_IOU } from "./scores.js";

const RULER = 22; // heights in CSS pixels
const ROW = 24;
const NAMES = 112; // width of the column of names
const EDGE = 10;
const TICK_PIXELS = 70;
const TICKS = [1, 2, 5, 10, 20, 24, 50, 60, 100, 120, 240, 300, 600, 1200, 1800, 3600, 9000, 18000];

/** @typedef {import("./state.js").TrackedObject} TrackedObject */

export class Timeline {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {import("./state.js").State} state
   * @param {import("./masks.js").MaskStore} masks
   * @param {import("./editing.js").Editing} editing
   */
  constructor(canvas, state, masks, editing) {
    this.canvas = canvas;
    this.state = state;
    this.masks = masks;
    this.editing = editing;
    this.redraw = drawnOnce(() => this.draw());
    state.on(["clip", "frame", "masks", "objects"], () => this.redraw());
    new ResizeObserver(() => this.redraw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.press(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons & 1) this.scrub(event.offsetX);
    });
  }

  /** @param {PointerEvent} event */
  press(event) {
    const row = Math.floor((event.offsetY - RULER) / ROW);
    const object = this.state.draft.objects[row];
    if (row >= 0 && object) this.editing.activate(object.id);
    if (event.offsetX >= NAMES) this.scrub(event.offsetX);
  }

  /** @param {number} x in CSS pixels */
  scrub(x) {
    const { clip } = this.state;
    if (clip) this.state.show(((x - NAMES - EDGE) / this.span) * (clip.frames - 1));
  }

  /** Width of the frames, in CSS pixels. */
  get span() {
    return Math.max(1, this.canvas.clientWidth - NAMES - 2 * EDGE);
  }

  /** @param {number} frame */
  place(frame) {
    const last = (this.state.clip?.frames ?? 1) - 1;
    return NAMES + EDGE + (last ? (frame / last) * this.span : 0);
  }

  draw() {
    const { clip, draft, frame } = this.state;
    const ratio = window.devicePixelRatio;
    const height = RULER + ROW * Math.max(draft.objects.length, 1);
    this.canvas.style.height = `${height}px`;
    this.canvas.width = Math.round(this.canvas.clientWidth * ratio);
    this.canvas.height = Math.round(height * ratio);
    const context = this.canvas.getContext("2d");
    if (!context || !clip) return;
    context.scale(ratio, ratio);
    context.font = getComputedStyle(this.canvas).font;
    context.textBaseline = "middle";
    const colours = themeColours(this.canvas);
    this.drawRange(context, colours, height);
    this.drawRuler(context, colours);
    draft.objects.forEach((object, row) => this.drawRow(context, colours, object, row));
    this.drawPlayhead(context, colours, height);
    this.describe(frame, clip);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Colours} colours
   * @param {number} height
   */
  drawRange(context, colours, height) {
    const [first, last] = this.state.draft.range;
    const [left, right] = [this.place(first), this.place(last)];
    context.fillStyle = colours.track;
    context.fillRect(left, 0, Math.max(right - left, 1), height);
    context.fillStyle = colours.accent;
    for (const [x, side] of [[left, 1], [right, -1]]) {
      context.fillRect(x - 1, 0, 2, height);
      context.fillRect(Math.min(x, x + 6 * side), 0, 6, 3);
    }
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Colours} colours
   */
  drawRuler(context, colours) {
    const { clip } = this.state;
    if (!clip) return;
    const least = (TICK_PIXELS / this.span) * clip.frames;
    const step = TICKS.find((one) => one >= least) ?? TICKS[TICKS.length - 1] * Math.ceil(least / 18000);
    context.fillStyle = colours.quiet;
    for (let frame = 0; frame < clip.frames; frame += step) {
      const x = this.place(frame);
      context.fillRect(x, RULER - 6, 1, 6);
      context.fillText(String(frame), x + 4, RULER / 2);
    }
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Colours} colours
   * @param {TrackedObject} object
   * @param {number} row
   */
  drawRow(context, colours, object, row) {
    const top = RULER + row * ROW;
    if (object.id === this.state.draft.active) {
      context.fillStyle = colours.chosen;
      context.fillRect(0, top, NAMES, ROW);
    }
    context.fillStyle = object.colour;
    context.fillRect(8, top + ROW / 2 - 5, 10, 10);
    context.fillStyle = colours.text;
    context.fillText(shorten(context, object.name, NAMES - 32), 24, top + ROW / 2);
    this.drawScores(context, colours, object, top);
    context.fillStyle = colours.text;
    for (const frame of Object.keys(object.prompts)) {
      drawDiamond(context, this.place(Number(frame)), top + ROW / 2, colours);
    }
  }

  /**
   * A column of a pixel stands for the worst of its frames.
   * @param {CanvasRenderingContext2D} context
   * @param {Colours} colours
   * @param {TrackedObject} object
   * @param {number} top
   */
  drawScores(context, colours, object, top) {
    const { frames, tracks } = this.masks.scores;
    const track = tracks.get(object.id);
    if (!track) return;
    const width = Math.max(1, this.span / frames);
    const inner = ROW - 8;
    context.save();
    context.beginPath();
    context.rect(NAMES, top, this.span + 2 * EDGE, ROW);
    context.clip(); // a bar of the first frame begins before it
    for (const [frame, iou, isThere] of columns(track, frames, this.span)) {
      const x = this.place(frame) - width / 2;
      if (!isThere) {
        context.fillStyle = colours.gone;
        context.fillRect(x, top + ROW - 6, width, 2);
        continue;
      }
      const bar = Math.max(2, inner * iou);
      context.fillStyle = iou < LOW_IOU ? colours.low : object.colour;
      context.fillRect(x, top + ROW - 4 - bar, width + 0.5, bar);
    }
    context.restore();
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Colours} colours
   * @param {number} height
   */
  drawPlayhead(context, colours, height) {
    const x = this.place(this.state.frame);
    context.fillStyle = colours.playhead;
    context.fillRect(x - 1, 0, 2, height);
    context.beginPath();
    context.moveTo(x - 6, 0);
    context.lineTo(x + 6, 0);
    context.lineTo(x, 8);
    context.fill();
  }

  /**
   * What people hear who do not see it.
   * @param {number} frame
   * @param {import("./state.js").Clip} clip
   */
  describe(frame, clip) {
    this.canvas.setAttribute("aria-valuemax", String(clip.frames - 1));
    this.canvas.setAttribute("aria-valuenow", String(frame));
    const scores = this.state.draft.objects.map((object) => {
      const { iou, presence } = this.masks.scores.track(object.id);
      if (Number.isNaN(iou[frame])) return `${object.name} not followed here`;
      return presence[frame] <= 0 ? `${object.name} out of sight` : `${object.name} ${iou[frame].toFixed(2)}`;
    });
    this.canvas.setAttribute("aria-valuetext", [`frame ${frame}`, ...scores].join(", "));
  }
}

/**
 * One entry for each column of a pixel in which something was computed.
 * @param {{iou: Float32Array, presence: Float32Array}} track
 * @param {number} frames
 * @param {number} span pixels that they take
 * @returns {Generator<[frame: number, iou: number, isThere: boolean]>}
 */
function* columns({ iou, presence }, frames, span) {
  const stride = Math.max(1, frames / span);
  for (let begin = 0; begin < frames; begin += stride) {
    let least = Infinity;
    let isThere = true;
    const end = Math.min(Math.ceil(begin + stride), frames);
    for (let frame = Math.floor(begin); frame < end; frame++) {
      if (Number.isNaN(iou[frame])) continue;
      least = Math.min(least, iou[frame]);
      if (presence[frame] <= 0) isThere = false;
    }
    if (least < Infinity) yield [Math.floor(begin), least, isThere];
  }
}

/** @typedef {ReturnType<typeof themeColours>} Colours */

/** @param {Element} element */
function themeColours(element) {
  const style = getComputedStyle(element);
  /** @param {string} name */
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    text: colour("text"),
    quiet: colour("quiet"),
    track: colour("raised"),
    chosen: colour("chosen"),
    accent: colour("accent"),
    playhead: colour("text"),
    paper: colour("panel"),
    low: colour("danger"),
    gone: colour("quiet"),
  };
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number} x
 * @param {number} y
 * @param {Colours} colours
 */
function drawDiamond(context, x, y, colours) {
  context.beginPath();
  for (const [dx, dy] of [[0, -6], [6, 0], [0, 6], [-6, 0]]) context.lineTo(x + dx, y + dy);
  context.closePath();
  context.fillStyle = colours.text;
  context.fill();
  context.strokeStyle = colours.paper;
  context.lineWidth = 1.5;
  context.stroke();
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {string} text
 * @param {number} width
 */
function shorten(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let end = text.length;
  while (end > 1 && context.measureText(text.slice(0, end) + "…").width > width) end -= 1;
  return text.slice(0, end) + "…";
}
