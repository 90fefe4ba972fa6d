// Runs commands by id, and by the keys that the table or the user gives them.

import { COMMANDS, chordOf } from "./keys.js";
import { keepSetting, setting } from "./settings.js";

/** Elements that a person types in. */
export const TYPED_IN = "input:not([type=range]):not([type=checkbox]), textarea, select, [contenteditable]";
const PRESSED_BY_KEY = "button, a[href], summary, input[type=checkbox], [role=option]";

/**
 * @param {Record<string, () => void>} actions by command id
 * @param {{onKeyDown: (event: KeyboardEvent) => boolean, onKeyUp: (event: KeyboardEvent) => void}} first takes keys before the table
 */
export function createShortcuts(actions, first) {
  let byChord = new Map();

  const keysOf = (command) => setting("keys")[command.id] ?? command.keys;

  function index() {
    byChord = new Map();
    for (const command of COMMANDS) for (const chord of keysOf(command)) byChord.set(chord, command);
  }

  function assign(changes) {
    keepSetting("keys", { ...setting("keys"), ...changes });
    index();
  }

  // Whether the element with the focus has its own use for the key.
  function owned(event) {
    const { target, key } = event;
    if (!(target instanceof Element)) return false;
    if (target.matches(TYPED_IN) || document.querySelector("dialog[open]")) return true;
    if (target.matches(PRESSED_BY_KEY) && (key === " " || key === "Enter")) return true;
    return target.matches("input[type=range]") && /^(Arrow|Home|End|Page)/.test(key) && !event.altKey;
  }

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || owned(event)) return;
    if (first.onKeyDown(event)) return event.preventDefault();
    const command = byChord.get(chordOf(event));
    if (!command) return;
    event.preventDefault();
    actions[command.id]();
  });
  document.addEventListener("keyup", first.onKeyUp);
  index();

  return {
    run: (id) => actions[id](),
    keysOf,
    holder: (chord) => byChord.get(chord),
    /** Give a command a key of its own in place of those it had; whoever had the key loses it. */
    give(command, chord) {
      const holder = byChord.get(chord);
      const taken = holder && holder !== command ? { [holder.id]: keysOf(holder).filter((other) => other !== chord) } : {};
      assign({ ...taken, [command.id]: [chord] });
    },
    reset() {
      keepSetting("keys", {});
      index();
    },
  };
}
