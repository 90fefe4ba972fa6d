// The table of commands: id, group, label and default keys; and how a key press is written.

/**
 * @typedef {{id: string, group: string, label: string, keys: string[]}} Command
 * @type {Command[]}
 */
export const COMMANDS = [
  ["frames", "next", "Next frame", "ArrowRight", "."],
  ["frames", "previous", "Previous frame", "ArrowLeft", ","],
  ["frames", "hop-on", "Ten frames on", "Shift+ArrowRight"],
  ["frames", "hop-back", "Ten frames back", "Shift+ArrowLeft"],
  ["frames", "first", "First frame", "Home"],
  ["frames", "last", "Last frame", "End"],
  ["frames", "play", "Play or pause", "Space"],
  ["frames", "worst", "Next worst mask of this video", "W"],
  ["frames", "worst-of-all", "Next worst mask of all videos", "Shift+W"],
  ["frames", "unreviewed", "Next mask without a verdict", "N"],
  ["videos", "next-video", "Next video of the list", "PageDown"],
  ["videos", "previous-video", "Previous video of the list", "PageUp"],
  ["videos", "filter", "Filter the videos", "/"],
  ["objects", "next-object", "Next object, also from the tenth on", "ArrowDown"],
  ["objects", "previous-object", "Previous object, also from the tenth on", "ArrowUp"],
  ...Array.from({ length: 9 }, (_, i) => ["objects", `object-${i + 1}`, `Object ${i + 1}`, String(i + 1)]),
  ["objects", "show", "Show or hide the object", "V"],
  ["objects", "lock", "Lock or unlock the object", "L"],
  ["verdicts", "accept", "Accept the mask", "A"],
  ["verdicts", "reject", "Reject the mask", "R"],
  ["verdicts", "skip", "Skip the mask", "S"],
  ["verdicts", "take-back", "Clear the verdict", "X"],
  ["verdicts", "accept-frame", "Accept all objects of the frame", "Shift+A"],
  ["verdicts", "accept-stretch", "Accept a stretch of the object…", "Shift+S"],
  ["verdicts", "go-on", "Go on after a verdict, or stay", "Shift+G"],
  ["tools", "hand", "Hand: pan the picture", "H"],
  ["tools", "brush", "Brush", "B"],
  ["tools", "eraser", "Eraser", "E"],
  ["tools", "polygon", "Polygon", "P"],
  ["tools", "click", "Click to segment", "C"],
  ["tools", "crosshair", "Keyboard pointer", "K"],
  ["tools", "smaller", "Smaller brush", "["],
  ["tools", "larger", "Larger brush", "]"],
  ["tools", "confirm", "Fill the polygon, take the clicked mask, accept the preview", "Enter"],
  ["tools", "confirm-other", "Subtract the polygon, add the clicked mask", "Shift+Enter"],
  ["tools", "cancel", "Cancel: what is being drawn, else the preview, else the pointer", "Escape"],
  ["tools", "delete-vertex", "Delete the chosen vertex", "Delete", "Backspace"],
  ["mask", "undo", "Undo in this frame", "Ctrl+Z"],
  ["mask", "redo", "Redo in this frame", "Ctrl+Shift+Z", "Ctrl+Y"],
  ["mask", "fill-holes", "Fill holes", "F"],
  ["mask", "keep-largest", "Keep the largest part", "G"],
  ["mask", "clear", "Clear the mask", "Shift+Delete"],
  ["mask", "restore", "Restore the model's own mask", "M"],
  ["model", "propagate-forward", "Propagate forward", "T"],
  ["model", "propagate-backward", "Propagate backward", "Shift+T"],
  ["model", "propagate-both", "Propagate both ways", "Alt+T"],
  ["model", "ask", "Ask the model again…", "Q"],
  ["view", "fit", "Fit the picture", "0"],
  ["view", "one-to-one", "One to one", "Shift+0"],
  ["view", "zoom-in", "Zoom in", "+", "="],
  ["view", "zoom-out", "Zoom out", "-"],
  ["view", "onion", "Outlines of the frames before and after", "O"],
  ["view", "labels", "Numbers on the masks", "Shift+L"],
  ["view", "more-opaque", "Stronger fill", "Alt+ArrowUp"],
  ["view", "less-opaque", "Weaker fill", "Alt+ArrowDown"],
  ["page", "progress", "Progress", "Shift+P"],
  ["page", "theme", "Dark, light or as the system", "Shift+D"],
  ["page", "keys", "Keyboard shortcuts", "?"],
  ["page", "retry", "Send unsent edits now", "Ctrl+S"],
].map(([group, id, label, ...keys]) => ({ group, id, label, keys }));

export const GROUPS = {
  frames: "Frames",
  videos: "Videos",
  objects: "Objects",
  verdicts: "Verdicts",
  tools: "Tools",
  mask: "Mask",
  model: "Model",
  view: "View",
  page: "Page",
};

const MODIFIERS = new Set(["Control", "Shift", "Alt", "Meta", "AltGraph", "CapsLock", "Dead", "Process", "Unidentified"]);
const NAMES = {
  ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", PageDown: "Page Down", PageUp: "Page Up", Escape: "Esc",
};

function nameOf(event) {
  if (event.key === " ") return "Space";
  if (/^(Digit|Numpad)\d$/.test(event.code)) return event.code.at(-1); // Digits need Shift on some keyboards.
  if (event.altKey && /^Key[A-Z]$/.test(event.code)) return event.code.at(-1); // Alt types other letters on some systems.
  return event.key.length === 1 ? event.key.toUpperCase() : event.key;
}

/**
 * A key press as it is written in the table, such as "Ctrl+Shift+Z"; null for a modifier alone.
 * @param {KeyboardEvent} event
 * @returns {string|null}
 */
export function chordOf(event) {
  if (MODIFIERS.has(event.key)) return null;
  const name = nameOf(event);
  const shiftTold = name.length > 1 || /[A-Z0-9]/.test(name) || event.ctrlKey || event.metaKey;
  return [
    event.ctrlKey || event.metaKey ? "Ctrl+" : "",
    event.altKey ? "Alt+" : "",
    event.shiftKey && shiftTold ? "Shift+" : "",
    name,
  ].join("");
}

/** @param {string} chord @returns {string} for people */
export const written = (chord) => chord.replace(/[^+]+$/, (name) => NAMES[name] ?? name);
