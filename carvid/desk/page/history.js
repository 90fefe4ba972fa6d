// Undo and redo of one video, per frame, with steps that may cover many frames. Pure.

/**
 * @typedef {{rle: import("./rle.js").Rle|null, model: boolean}} Version a mask as it was; model: the model's own mask
 *   (its rle is null while not known)
 * @typedef {{frame: number, object: number, before: Version, after: Version}} Change
 * @typedef {{id: number, label: string, changes: Change[], from: number|undefined, undone: number}} Step
 *   from: the frame it was made from, where that is none of its changes'; undone: 0, or the turn it was undone at
 * @typedef {{frame: number, object: number, version: Version}} Write
 */

/** @param {{frame: number, object: number}} mask */
export const maskKey = ({ frame, object }) => `${frame}/${object}`;

export function createHistory() {
  /** @type {Step[]} in the order they were made */
  let steps = [];
  let made = 0;
  let turn = 0;

  const covers = (step, frame) => step.from === frame || step.changes.some((change) => change.frame === frame);

  // The steps among candidates that share a mask with the chosen one, or with one that does.
  function together(chosen, candidates) {
    const keys = new Set(chosen.changes.map(maskKey));
    const found = [chosen];
    for (const step of candidates) {
      if (!step.changes.some((change) => keys.has(maskKey(change)))) continue;
      step.changes.forEach((change) => keys.add(maskKey(change)));
      found.push(step);
    }
    return found;
  }

  function collect(found, side) {
    const writes = new Map();
    for (const step of found) {
      for (const change of step.changes) {
        writes.set(maskKey(change), { frame: change.frame, object: change.object, version: change[side] });
      }
    }
    return { writes: [...writes.values()], label: found[0].label, steps: found.length };
  }

  const lastDone = (frame) => steps.findLast((step) => !step.undone && covers(step, frame));

  function lastUndone(frame) {
    let found;
    for (const step of steps) if (step.undone && covers(step, frame) && !(found?.undone > step.undone)) found = step;
    return found;
  }

  return {
    /** Remember a step; what had been undone on its masks' frames can no longer be redone. */
    add(label, changes, from) {
      const frames = [...new Set(changes.map((change) => change.frame)), ...(from === undefined ? [] : [from])];
      const gone = new Set();
      for (const step of steps) {
        if (step.undone && frames.some((frame) => covers(step, frame))) gone.add(step);
      }
      for (const step of [...gone]) {
        const after = steps.slice(steps.indexOf(step) + 1).filter((other) => other.undone);
        together(step, after).forEach((other) => gone.add(other));
      }
      steps = steps.filter((step) => !gone.has(step));
      const step = { id: ++made, label, changes, from, undone: 0 };
      steps.push(step);
      return step.id;
    },

    canUndo: (frame) => !!lastDone(frame),
    canRedo: (frame) => !!lastUndone(frame),

    /**
     * Take back the last step that covers the frame, in all its frames, and any later step drawn over its masks.
     * @returns {{writes: Write[], label: string, steps: number}|null}
     */
    undo(frame) {
      const chosen = lastDone(frame);
      if (!chosen) return null;
      const found = together(chosen, steps.slice(steps.indexOf(chosen) + 1).filter((step) => !step.undone));
      const order = [...found].sort((a, b) => b.id - a.id);
      order.forEach((step) => (step.undone = ++turn));
      return { ...collect(order, "before"), label: chosen.label };
    },

    /** Do the step again that was undone last, and any undone step it was drawn over. */
    redo(frame) {
      const chosen = lastUndone(frame);
      if (!chosen) return null;
      const earlier = steps.slice(0, steps.indexOf(chosen)).filter((step) => step.undone).reverse();
      const order = together(chosen, earlier).sort((a, b) => a.id - b.id);
      order.forEach((step) => (step.undone = 0));
      return { ...collect(order, "after"), label: chosen.label };
    },

    /** Forget all steps that touch one of the masks: somebody else's version stands there now. */
    forget(masks) {
      const keys = new Set(masks.map(maskKey));
      steps = steps.filter((step) => !step.changes.some((change) => keys.has(maskKey(change))));
    },

    /** Take these masks out of all steps, and leave the rest of each. */
    leaveOut(masks) {
      const keys = new Set(masks.map(maskKey));
      for (const step of steps) step.changes = step.changes.filter((change) => !keys.has(maskKey(change)));
      steps = steps.filter((step) => step.changes.length);
    },

    /** What the step that wrote a mask last would bring back is now this version. */
    rebase(mask, version) {
      const step = steps.findLast((other) => !other.undone && other.changes.some((c) => maskKey(c) === maskKey(mask)));
      const change = step?.changes.find((other) => maskKey(other) === maskKey(mask));
      if (change) change.before = version;
    },
  };
}
