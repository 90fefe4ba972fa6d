// Masks that a model streams: shown frame by frame as they come, then accepted as one edit or cancelled.

import { isAbort, postLines } from "./api.js";
import { byId, counted, setText } from "./dom.js";
import { maskKey } from "./history.js";
import { runsOf } from "./rle.js";

const LOW_PRIORITY = 50;
const ENDS = {
  corrected: "a corrected mask stands there",
  cut: "the scene changes",
  lost: "the object was lost",
  last: "the end was reached",
};

/**
 * @typedef {{name: string, path: string, body: any}} Run one request; name is its direction, for the report
 * @param {{desk: any, edits: any, events: any, outbox: any, say: Function, warn: Function,
 *   announce: Function}} parts
 */
export function createPreview({ desk, edits, events, outbox, say, warn, announce }) {
  const hooks = document.documentElement.dataset;
  let abort = null;
  let befores = [];
  let ends = [];
  let expected = 0;
  let label = "";
  let from = 0;
  let coming = "";

  function tell() {
    const { preview } = desk;
    byId("preview-bar").hidden = !preview;
    if (!preview) {
      delete hooks.preview;
      hooks.busy = "no";
      return;
    }
    const count = preview.masks.size;
    hooks.preview = String(count);
    hooks.busy = abort ? "yes" : "no";
    byId("preview-progress").max = Math.max(1, expected);
    if (abort && !count) byId("preview-progress").removeAttribute("value"); // It moves, for nobody knows how long it takes.
    else byId("preview-progress").value = abort ? count : Math.max(1, expected);
    const doing = count ? `${count} of at most ${counted(expected, "frame")}` : coming;
    const words = `${label}: ${abort ? doing : `${counted(count, "frame")}. ${ends.join(" ")}`}`;
    setText(byId("preview-text"), words);
    byId("preview-text").title = words;
    byId("preview-accept").disabled = !count;
    setText(byId("preview-accept"), abort ? "Stop and accept" : "Accept");
    events.emit("preview");
  }

  function take(video, line) {
    runsOf(line.rle.counts); // A code that cannot be read must not get into the preview.
    desk.preview.masks.set(line.frame, { rle: line.rle, revision: line.revision });
    const before = desk.loadMasks(video, line.frame, LOW_PRIORITY, true);
    before.catch(() => {}); // Told at accepting, where it matters.
    befores.push(before);
    if (line.frame === desk.painted) desk.redraw();
    tell();
  }

  async function stream(video, run, signal) {
    for await (const line of postLines(run.path, run.body, signal)) {
      if (signal.aborted) return;
      if (line.end) ends.push(`${run.name} ended at frame ${line.frame}: ${ENDS[line.end] ?? line.end}.`);
      else take(video, line);
    }
  }

  /**
   * @param {string} what @param {(video: any) => Run[]} runs one after the other @param {number} most frames that can come
   * @param {string} wait what to say until the first comes
   */
  async function start(what, objectId, runs, most, wait) {
    events.emit("leave");
    const { video } = desk;
    if (desk.preview) return say("Accept or cancel the preview first.");
    abort = new AbortController();
    const { signal } = abort;
    [label, expected, ends, befores, from, coming] = [what, most, [], [], desk.frame, wait];
    desk.preview = { object: objectId, masks: new Map() };
    tell();
    announce(`${what}: ${wait}.`);
    try {
      // The server starts from what it holds, so what was drawn must have reached it.
      if (!(await outbox.settled(video.id))) throw new Error("unsent edits must be saved first");
      for (const run of runs(video)) await stream(video, run, signal);
      if (!signal.aborted) finish();
    } catch (error) {
      if (isAbort(error) || signal.aborted) return;
      warn(`${what}: ${error.message}`);
      if (desk.preview?.masks.size) {
        ends.push("It stopped early.");
        finish();
      } else end();
    }
  }

  function finish() {
    abort = null;
    const count = desk.preview.masks.size;
    tell();
    say(count ? `${label}: ${counted(count, "frame")} to look at. Accept or cancel.` : `${label}: no frames. ${ends.join(" ")}`);
    if (!count) end();
  }

  function end() {
    abort?.abort();
    abort = null;
    desk.preview = null;
    tell();
    events.emit("preview");
    desk.redraw();
  }

  async function accept() {
    const { preview, video } = desk;
    if (!preview) return;
    if (!preview.masks.size) return void say(`The first frame is still coming: ${coming}.`);
    abort?.abort();
    abort = null;
    tell();
    try {
      await Promise.all(befores);
      await Promise.all([...preview.masks.keys()].map((frame) => desk.loadMasks(video, frame, 1, true)));
    } catch (error) {
      warn(`The preview is not accepted yet, for the masks it replaces could not be read: ${error.message} Try again.`);
      return;
    }
    if (desk.preview !== preview) return;
    const changes = [...preview.masks].map(([frame, { rle, revision }]) => ({
      frame,
      object: preview.object,
      rle,
      revision,
    }));
    const what = label;
    end();
    const name = what.charAt(0).toLowerCase() + what.slice(1);
    const changed = edits.edit(name, changes, { from, done: (masks) => `${what} accepted: ${counted(masks, "frame")}.` });
    say(changed ? `${what}: saving ${counted(changes.length, "frame")}…` : `${what}: these masks are there already.`);
  }

  function cancel() {
    if (!desk.preview) return false;
    end();
    say(`${label} cancelled. Nothing was changed.`);
    return true;
  }

  /** @param {"forward"|"backward"|"both"} way */
  function propagate(way) {
    const { video, object, frame, position } = desk;
    if (!video || !object) return;
    if (object.locked) return void say(`Object ${object.index + 1} is locked.`);
    const info = video.info(frame, object.id);
    if (!info) return void say("The frame is still loading.");
    if (!info.present) return void say(`Object ${object.index + 1} has no mask in frame ${frame} to propagate.`);
    const directions = way === "both" ? ["forward", "backward"] : [way];
    const most = directions.reduce((sum, d) => sum + (d === "forward" ? desk.last - position : position), 0);
    const runs = () => directions.map((direction) => ({
      name: direction === "forward" ? "Forward" : "Backward",
      path: `/api/videos/${video.id}/propagations`,
      body: { frame, object: object.id, revision: video.revisions.get(maskKey({ frame, object: object.id })), direction, last: null },
    }));
    start(`Propagation ${way === "both" ? "both ways" : way} from frame ${frame}`, object.id, runs, most, "waiting for the first frame");
  }

  /** @param {string} query @param {number|null} theta in [0, 1] @param {number} first @param {number} last frames, both included */
  function ask(query, theta, first, last) {
    const { video, object } = desk;
    if (!video || !object) return;
    if (object.locked) return void say(`Object ${object.index + 1} is locked.`);
    const most = video.frames.filter((frame) => frame >= first && frame <= last).length;
    const body = { object: object.id, query, theta, first, last };
    start(`Answer to "${query}"`, object.id, () => [{ name: "It", path: `/api/videos/${video.id}/asks`, body }], most,
      "waiting for the model, which may take many seconds the first time");
  }

  byId("preview-accept").addEventListener("click", accept);
  byId("preview-cancel").addEventListener("click", cancel);
  return { propagate, ask, accept, cancel };
}
