/** Which part of the picture is on the stage: zoom and pan. */

const MAX_SCALE = 32; // pixels of the screen for one of the picture

export class Viewport {
  constructor() {
    /** Pixels of the screen for one of the picture. */
    this.scale = 1;
    /** Where the picture's top left corner is, in pixels of the screen. */
    this.x = 0;
    this.y = 0;
    this.stage = { width: 1, height: 1 };
    this.picture = { width: 1, height: 1 };
    this.fitted = true;
  }

  /** The scale at which the whole picture is seen. */
  get fittingScale() {
    const { stage, picture } = this;
    return Math.min(stage.width / picture.width, stage.height / picture.height);
  }

  fit() {
    this.fitted = true;
    this.scale = this.fittingScale;
    this.x = (this.stage.width - this.picture.width * this.scale) / 2;
    this.y = (this.stage.height - this.picture.height * this.scale) / 2;
  }

  /**
   * @param {{width: number, height: number}} stage in pixels of the screen
   */
  resize(stage) {
    const [dx, dy] = [stage.width - this.stage.width, stage.height - this.stage.height];
    this.stage = stage;
    if (this.fitted) this.fit();
    else this.pan(dx / 2, dy / 2);
  }

  /**
   * @param {{width: number, height: number}} picture
   */
  show(picture) {
    this.picture = picture;
    this.fit();
  }

  /**
   * Zoom around a place, which stays where it is.
   * @param {number} factor
   * @param {number} x in pixels of the screen
   * @param {number} y
   */
  zoom(factor, x = this.stage.width / 2, y = this.stage.height / 2) {
    const smallest = Math.min(this.fittingScale, 1) / 2;
    const scale = Math.min(Math.max(this.scale * factor, smallest), MAX_SCALE);
    this.x = x - ((x - this.x) * scale) / this.scale;
    this.y = y - ((y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.fitted = false;
    this.pan(0, 0);
  }

  /**
   * Move the picture; a part of it stays on the stage.
   * @param {number} dx in pixels of the screen
   * @param {number} dy
   */
  pan(dx, dy) {
    const rest = 40;
    const { stage, picture, scale } = this;
    this.x = clamp(this.x + dx, rest - picture.width * scale, stage.width - rest);
    this.y = clamp(this.y + dy, rest - picture.height * scale, stage.height - rest);
    if (dx || dy) this.fitted = false;
  }

  /**
   * From the screen to the picture.
   * @param {number} x
   * @param {number} y
   * @returns {[number, number]}
   */
  toPicture(x, y) {
    return [(x - this.x) / this.scale, (y - this.y) / this.scale];
  }

  /**
   * From the picture to the screen.
   * @param {number} x
   * @param {number} y
   * @returns {[number, number]}
   */
  toScreen(x, y) {
    return [x * this.scale + this.x, y * this.scale + this.y];
  }
}

/**
 * @param {number} value
 * @param {number} low
 * @param {number} high
 */
function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}
