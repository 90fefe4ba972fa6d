// Brush and eraser: a stroke changes a copy of the mask, and is one edit when it ends.

import { copyMask, drawStroke } from "./masks.js";
import { setting } from "./settings.js";

/** @param {{desk: any, edits: any, target: Function, value: 0|1}} parts value 1 paints, 0 erases */
export function createBrush({ desk, edits, target, value }) {
  let stroke = null;

  function extend(point) {
    const box = drawStroke(stroke.mask, stroke.at, point, setting("brush"), value);
    stroke.at = point;
    if (box) desk.redraw(box);
  }

  function end() {
    const { frame, object, mask } = stroke;
    stroke = null;
    if (!edits.replace(value ? "brush stroke" : "eraser stroke", frame, object.id, mask)) desk.redraw();
    desk.drawing = null;
  }

  return {
    down(point) {
      const found = target();
      if (!found) return;
      stroke = { ...found, mask: copyMask(found.mask), at: point };
      desk.drawing = { object: found.object.id, mask: stroke.mask };
      extend(point);
    },
    move(point) {
      if (stroke) extend(point);
    },
    up() {
      if (stroke) end();
    },
    settle() {
      if (stroke) end();
    },
    cancel() {
      if (!stroke) return false;
      stroke = null;
      desk.drawing = null;
      desk.redraw();
      return true;
    },
    draw(context, toScreen, scale, pointer) {
      if (!pointer) return;
      const { x, y } = toScreen(pointer);
      const radius = Math.max(1.5, setting("brush") * scale);
      for (const [colour, width] of [["#000", 3], ["#fff", 1.25]]) {
        context.beginPath();
        context.arc(x, y, radius, 0, 2 * Math.PI);
        context.strokeStyle = colour;
        context.lineWidth = width;
        context.setLineDash(value ? [] : [4, 3]);
        context.stroke();
      }
      context.setLineDash([]);
    },
  };
}
