/** Playing, stepping, markers, tracking and its progress: the row above the time line. */

import { byId } from "./dom.js";
import { pace } from "./tracking.js";

export class Transport {
  /**
   * @param {import("./state.js").State} state
   * @param {import("./frames.js").FrameStore} frames
   * @param {import("./masks.js").MaskStore} masks
   * @param {import("./tracking.js").Tracking} tracking
   */
  constructor(state, frames, masks, tracking) {
    this.state = state;
    this.frames = frames;
    this.masks = masks;
    this.tracking = tracking;
    this.playing = false;
    this.input = byId("frame-number");
    this.input.addEventListener("change", () => state.show(Number(this.input.value)));
    state.on(["frame", "clip"], () => this.showFrame());
    state.on(["job", "clip"], () => this.showJob());
    state.on(["clip", "job"], () => this.stop());
  }

  showFrame() {
    const { clip, frame } = this.state;
    this.input.value = String(frame);
    this.input.max = String((clip?.frames ?? 1) - 1);
    byId("frame-count").textContent = clip ? `of ${clip.frames - 1}` : "";
    byId("time").textContent = clip ? timecode(frame, clip.rate) : "";
  }

  showJob() {
    const { clip, job } = this.state;
    document.body.classList.toggle("tracking", job !== null);
    for (const button of document.querySelectorAll("[data-needs-clip]")) {
      /** @type {HTMLButtonElement} */ (button).disabled =
        !clip || (job !== null && button.hasAttribute("data-needs-rest"));
    }
    byId("progress").hidden = !job;
    if (!job) return;
    const { rate, left } = pace(job, performance.now());
    byId("progress-bar").max = job.total;
    byId("progress-bar").value = job.done;
    const speed = `${rate.toFixed(rate < 10 ? 1 : 0)} frames/s`;
    const rest = Number.isNaN(left) ? "" : `, ${seconds(left)} left`;
    byId("progress-text").textContent = `${job.done} of ${job.total}, ${speed}${rest}`;
  }

  togglePlay() {
    if (this.playing || !this.state.clip || this.state.job) return this.stop();
    this.playing = true;
    this.showPlay();
    const [first, last] = this.state.draft.range;
    if (this.state.frame >= last) this.state.show(first);
    let due = performance.now();
    const tick = (/** @type {number} */ now) => {
      const { clip, frame, draft } = this.state;
      if (!this.playing || !clip) return;
      const isReady = this.frames.isReady(frame + 1) && this.masks.isReady(frame + 1);
      if (now >= due && isReady) {
        due = Math.max(due + 1000 / clip.rate, now - 50);
        this.state.show(frame + 1);
      }
      if (this.state.frame >= draft.range[1]) this.stop();
      else requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  stop() {
    this.playing = false;
    this.showPlay();
  }

  showPlay() {
    const button = byId("play");
    button.setAttribute("aria-label", this.playing ? "Stop" : "Play");
    button.querySelector("use").setAttribute("href", this.playing ? "#icon-stop" : "#icon-play");
  }

  /** @param {number} step frames to go on, or back */
  step(step) {
    this.stop();
    this.frames.direction = step < 0 ? -1 : 1;
    this.state.show(this.state.frame + step);
  }

  /**
   * To the next frame on which something was pointed at, or the one before.
   * @param {1|-1} direction
   */
  stepToPrompt(direction) {
    const { objects } = this.state.draft;
    const frames = objects.flatMap((one) => Object.keys(one.prompts).map(Number));
    this.jump(frames, direction);
  }

  /**
   * To the next frame where an object becomes doubtful or is lost, or the one before.
   * @param {1|-1} direction
   * @returns {import("./scores.js").Problem|null} null where there is none
   */
  stepToProblem(direction) {
    const ids = this.state.draft.objects.map((one) => one.id);
    const problems = this.masks.scores.problems(ids);
    const frame = this.jump(problems.map((one) => one.frame), direction);
    return problems.find((one) => one.frame === frame) ?? null;
  }

  /**
   * @param {number[]} frames
   * @param {1|-1} direction
   * @returns {number|null}
   */
  jump(frames, direction) {
    const here = this.state.frame;
    const beyond = frames.filter((frame) => (frame - here) * direction > 0);
    if (!beyond.length) return null;
    const frame = direction > 0 ? Math.min(...beyond) : Math.max(...beyond);
    this.stop();
    this.state.show(frame);
    return frame;
  }
}

/**
 * @param {number} frame
 * @param {number} rate frames a second
 */
export function timecode(frame, rate) {
  const whole = Math.floor(frame / rate);
  /** @param {number} value */
  const pad = (value) => String(value).padStart(2, "0");
  const rest = Math.floor(frame - whole * rate);
  const clock = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60, rest];
  return clock.map(pad).join(":");
}

/** @param {number} value */
export function seconds(value) {
  const whole = Math.ceil(value);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
