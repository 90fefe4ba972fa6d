// Click-to-segment: points inside and outside, the mask the server makes of them, taken or left.

import { isAbort, postJson } from "./api.js";
import { addMask, copyMask } from "./masks.js";
import { decode } from "./rle.js";

/** @param {{desk: any, edits: any, target: Function, view: any, say: Function, warn: Function}} parts */
export function createClick({ desk, edits, target, view, say, warn }) {
  let points = [];
  let made = null;
  let asking = null;

  async function ask() {
    asking?.abort();
    asking = new AbortController();
    const { signal } = asking;
    const { video, frame, objectId } = desk;
    try {
      const answer = await postJson(`/api/videos/${video.id}/clicks`, { frame, points }, signal);
      if (signal.aborted) return;
      made = decode(answer.rle);
      desk.drawing = { object: objectId, mask: made };
      desk.redraw();
      say(`A mask for ${points.length} points. Enter takes it, Shift+Enter adds it.`);
    } catch (error) {
      if (!isAbort(error)) warn(`No mask for these points: ${error.message}`);
    }
  }

  function drop() {
    asking?.abort();
    points = [];
    made = null;
    desk.drawing = null;
    desk.redraw();
  }

  function cancel() {
    if (!points.length) return false;
    drop();
    say("Points dropped.");
    return true;
  }

  return {
    down(point, { second, alt }) {
      desk.drawing = null;
      if (!target()) return;
      points = [...points, { x: point.x, y: point.y, inside: !(second || alt) }];
      if (made) desk.drawing = { object: desk.objectId, mask: made };
      view.ask();
      ask();
    },
    move() {},
    up() {},
    settle: cancel,
    pending: () => points.length > 0,
    confirm(add) {
      if (!made) {
        say("The mask for these points has not come yet.");
        return;
      }
      const found = target();
      if (!found) return;
      let mask = made;
      if (add) {
        mask = copyMask(found.mask);
        addMask(mask, made);
      }
      drop();
      edits.replace(add ? "clicked mask added" : "clicked mask", found.frame, found.object.id, mask);
      say(add ? "Clicked mask added." : "Clicked mask taken.");
    },
    cancel,
    undo() {
      points = points.slice(0, -1);
      if (points.length) ask();
      else drop();
      view.ask();
    },
    draw(context, toScreen) {
      for (const point of points) {
        const { x, y } = toScreen(point);
        context.beginPath();
        context.arc(x, y, 7, 0, 2 * Math.PI);
        context.fillStyle = point.inside ? "#12805f" : "#b3401a";
        context.fill();
        context.strokeStyle = "#fff";
        context.lineWidth = 1.75;
        context.moveTo(x - 3.5, y);
        context.lineTo(x + 3.5, y);
        if (point.inside) {
          context.moveTo(x, y - 3.5);
          context.lineTo(x, y + 3.5);
        }
        context.stroke();
      }
    },
  };
}
