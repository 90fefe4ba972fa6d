// One-key changes of the active mask: fill holes, keep the largest part, clear, restore.

import { blankMask, copyMask, fillHoles, keepLargest } from "./masks.js";

/** @param {{edits: any, events: any, target: Function, say: (text: string) => void}} parts */
export function createMaskCommands({ edits, events, target, say }) {
  function change(label, done, make) {
    events.emit("leave");
    const found = target();
    if (!found) return;
    const changed = edits.replace(label, found.frame, found.object.id, make(found.mask));
    say(changed ? `${done}.` : "The mask stays as it is.");
  }

  function altered(alter) {
    return (mask) => {
      const copy = copyMask(mask);
      alter(copy);
      return copy;
    };
  }

  return {
    fillHoles: () => change("holes filled", "Holes filled", altered(fillHoles)),
    keepLargest: () => change("largest part kept", "Largest part kept", altered(keepLargest)),
    clear: () => change("mask cleared", "Mask cleared", ({ width, height }) => blankMask(width, height)),
    restore() {
      events.emit("leave");
      const found = target();
      if (!found) return;
      const edit = { frame: found.frame, object: found.object.id, rle: null };
      const changed = edits.edit("model's own mask restored", [edit]);
      say(changed ? "The model's own mask is restored." : "This is the model's own mask.");
    },
  };
}
