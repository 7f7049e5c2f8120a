/** What people are told: errors in plain words, and what was done. */

import { byId, element } from "./dom.js";

const MILLISECONDS = 6000;

/**
 * @param {string} text
 * @param {"info"|"error"} kind
 */
export function notify(text, kind = "info") {
  text = sentence(text);
  const notice = element("p", { class: `notice ${kind}` }, text);
  const box = byId("notices");
  const same = [...box.children].find((one) => one.textContent === text);
  same?.remove();
  box.append(notice);
  // On top of a dialog that was opened after it, too.
  if (box.matches(":popover-open")) box.hidePopover();
  box.showPopover();
  const timer = setTimeout(() => notice.remove(), MILLISECONDS);
  notice.addEventListener("click", () => {
    clearTimeout(timer);
    notice.remove();
  });
}

/**
 * Do something, and tell people if it fails.
 * @param {() => any} work
 */
export async function attempt(work) {
  try {
    await work();
  } catch (problem) {
    console.warn(problem);
    notify(problem instanceof Error ? problem.message : String(problem), "error");
  }
}

/** @param {string} text */
function sentence(text) {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}
