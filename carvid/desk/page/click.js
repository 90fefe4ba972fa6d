// Click-to-segment: points inside and outside, the mask the server makes of them, taken or left.

import { isAbort, postJson } from "./api.js";
import { addMask, copyMask } from "./masks.js";
import { byId, counted } from "./dom.js";
import { decode } from "./rle.js";

const SLOW_MS = 300;
const WAITING = "Waiting for the model… It may take many seconds the first time.";

/** @param {{desk: any, edits: any, target: Function, view: any, say: Function, warn: Function}} parts */
export function createClick({ desk, edits, target, view, say, warn }) {
  let points = [];
  let made = null;
  let asking = null;
  let waiting = false;
  let slow = 0;

  async function ask() {
    asking?.abort();
    asking = new AbortController();
    const { signal } = asking;
    const { video, frame, objectId } = desk;
    wait(true);
    try {
      const answer = await postJson(`/api/videos/${video.id}/clicks`, { frame, points }, signal);
      if (signal.aborted) return;
      wait(false);
      made = decode(answer.rle);
      desk.drawing = { object: objectId, mask: made };
      desk.redraw();
      say(`A mask for ${counted(points.length, "point")}. Enter takes it, Shift+Enter adds it.`);
    } catch (error) {
      if (isAbort(error) || signal.aborted) return;
      wait(false);
      say("No mask for these points.");
      warn(`No mask for these points: ${error.message}`, { kind: "click" });
    }
  }

  // The page says that it waits, and the picture shows it, until the answer is here.
  function wait(on) {
    clearTimeout(slow);
    waiting = on;
    if (on) slow = setTimeout(() => say(WAITING, true), SLOW_MS);
    if (on) byId("stage").dataset.waiting = "yes";
    else delete byId("stage").dataset.waiting;
    document.documentElement.dataset.busy = on ? "yes" : "no";
  }

  function drop() {
    asking?.abort();
    if (waiting) wait(false);
    points = [];
    made = null;
    desk.drawing = null;
    desk.redraw();
  }

  function cancel() {
    if (!points.length) return false;
    drop();
    say("Points dropped: they were not taken.");
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
        say(waiting ? "The mask is still coming. Waiting for the model…" : "There is no mask for these points.", waiting);
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
