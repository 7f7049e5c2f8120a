/** What a click would take: asked for when the pointer rests, drawn as an outline. */

import { drawMasks } from "./canvas/overlay.js";
import { emptyPrompt, wirePrompt } from "./editing.js";
import { readMasks, LOGITS } from "./masks.js";

const REST_MILLISECONDS = 30;

export class Hover {
  /**
   * @param {import("./canvas/view.js").View} view
   * @param {import("./socket.js").Socket} socket
   */
  constructor(view, socket) {
    this.view = view;
    this.state = view.state;
    this.socket = socket;
    /** @type {import("./masks.js").Mask|null} */
    this.mask = null;
    this.timer = 0;
    /** @type {{x: number, y: number, subtracts: boolean}|null} where the pointer is, on the screen */
    this.place = null;
    this.asking = false;
    view.sketches.push((context, viewport) => this.draw(context, viewport));
    this.state.on(["frame", "objects", "clip", "job", "found"], () => this.stop());
  }

  /**
   * The pointer is here.
   * @param {number} x in pixels of the screen
   * @param {number} y
   * @param {boolean} subtracts
   */
  rest(x, y, subtracts) {
    this.place = { x, y, subtracts };
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.ask(), REST_MILLISECONDS);
  }

  stop() {
    this.place = null;
    clearTimeout(this.timer);
    if (this.mask) this.view.redraw();
    this.mask = null;
  }

  /** Ask for one place at a time; an answer that comes too late is asked for anew. */
  async ask() {
    const { place } = this;
    if (!place) return;
    const { subtracts } = place;
    const { clip, job, frame, active, found } = this.state;
    const [px, py] = this.view.viewport.toPicture(place.x, place.y);
    const inside = clip && px >= 0 && py >= 0 && px < clip.width && py < clip.height;
    if (!inside || job || found || active?.locked || this.asking) return;
    const before = this.state.prompt ?? emptyPrompt();
    if (subtracts && !before.points.length && !before.box) return;
    const { fields } = wirePrompt({
      ...before,
      points: [...before.points, [px, py]],
      labels: [...before.labels, subtracts ? 0 : 1],
      mask: null,
    });
    this.asking = true;
    try {
      const object = active?.id ?? null;
      const request = { session: clip.session, frame, object, prompt: fields, masks: LOGITS };
      const message = await this.socket.request("hover", request);
      if (place === this.place) this.mask = readMasks(message, clip)[0] ?? null;
    } catch {
      // Only a preview: a click will tell what is wrong.
    }
    this.asking = false;
    if (place !== this.place) this.ask();
    this.view.redraw();
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {import("./canvas/viewport.js").Viewport} viewport
   */
  draw(context, { x, y, scale, picture }) {
    if (!this.mask) return;
    const step = Math.max(1, Math.floor(1 / (scale * window.devicePixelRatio)));
    const colour = this.state.active?.colour ?? "#ffffff";
    const layers = [{ mask: this.mask, colour }];
    const drawing = drawMasks(layers, picture, step, { opacity: 0.3, outline: true });
    context.drawImage(drawing, x, y, picture.width * scale, picture.height * scale);
  }
}
