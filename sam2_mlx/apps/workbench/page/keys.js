/** The keyboard: one table, for pressing and for the page that `?` shows. */

import { byId, element } from "./dom.js";

/**
 * @typedef {object} Shortcut
 * @property {string[]} keys as `event.key`, with `Shift+`, `Alt+` and `Mod+` (Ctrl, or ⌘ on a Mac) before it
 * @property {string} does for people; shortcuts with an empty one are not listed
 * @property {() => any} run
 */

/** @typedef {{title: string, shortcuts: Shortcut[]}} Group */

const IS_MAC = /Mac|iPhone|iPad/.test(navigator.platform);
const TYPING = "input:not([type=range]):not([type=color]):not([type=checkbox]), textarea, select";
const NAMES = {
  ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": "Space", Mod: IS_MAC ? "⌘" : "Ctrl",
};

/**
 * Act on keys, unless somebody types into a field or has a dialog open.
 * @param {Group[]} groups
 * @param {(work: () => any) => void} attempt tells people of errors
 */
export function listenToKeys(groups, attempt) {
  /** @type {Map<string, Shortcut>} */
  const table = new Map();
  for (const { shortcuts } of groups) {
    for (const shortcut of shortcuts) for (const key of shortcut.keys) table.set(key, shortcut);
  }
  document.addEventListener("keydown", (event) => {
    const target = /** @type {Element} */ (event.target);
    if (document.querySelector("dialog[open]")) return;
    if (target.matches(TYPING)) {
      if (event.key === "Enter" || event.key === "Escape") byId("stage").focus();
      return;
    }
    const name = nameOf(event);
    const shortcut = table.get(name);
    // Space and Enter press the button that has the focus; arrows move a slider.
    const isPress = /^(Shift\+)?( |Enter)$/.test(name) && target.matches("button, summary, a");
    const isSlide = /Arrow|Home|End/.test(name) && target.matches("input[type=range]");
    if (!shortcut || isPress || isSlide) return;
    event.preventDefault();
    attempt(shortcut.run);
  });
}

/** @param {KeyboardEvent} event */
function nameOf(event) {
  const isPunctuation = event.key.length === 1 && !/[a-z ]/i.test(event.key);
  const key = event.key.length > 1 || event.shiftKey ? event.key : event.key.toLowerCase();
  const parts = [];
  if (event.ctrlKey || event.metaKey) parts.push("Mod");
  if (event.altKey) parts.push("Alt");
  if (event.shiftKey && !isPunctuation) parts.push("Shift");
  return [...parts, key].join("+");
}

/**
 * Fill the page that `?` shows.
 * @param {Group[]} groups
 */
export function showKeys(groups) {
  byId("keys").replaceChildren(
    ...groups.map(({ title, shortcuts }) =>
      element(
        "section",
        {},
        element("h3", {}, title),
        element("dl", {}, ...shortcuts.filter((one) => one.does).flatMap(describe)),
      ),
    ),
  );
}

/** @param {Shortcut} shortcut */
function describe({ keys, does }) {
  const caps = keys.flatMap((key, index) => [
    ...(index ? [" or "] : []),
    ...key.split(/\+(?=.)/).map((part) => element("kbd", {}, label(part))),
  ]);
  return [element("dt", {}, ...caps), element("dd", {}, does)];
}

/** @param {string} part */
function label(part) {
  const name = /** @type {Record<string, string>} */ (NAMES)[part];
  return name ?? (part.length === 1 ? part.toUpperCase() : part);
}
