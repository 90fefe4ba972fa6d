// Where the page is: the open video, the frame, the active object; loads what they need and paints it.

import { getJson, isAbort } from "./api.js";
import { colourOf } from "./colours.js";
import { clamp } from "./dom.js";
import { setting } from "./settings.js";
import { createVideo } from "./video.js";

const AHEAD = 8;
const BEHIND = 3;
const TRY_AGAIN_MS = 2000;
const PLACE_KEY = "carvid.desk.place";
const ONION = [
  { red: 120, green: 200, blue: 255 },
  { red: 255, green: 190, blue: 90 },
];

/** @returns {{video: number, frame: number, object: number}|null} where this tab was before a reload */
export function keptPlace() {
  try {
    return JSON.parse(sessionStorage.getItem(PLACE_KEY));
  } catch {
    return null; // Somebody else's value under our key.
  }
}

/**
 * @param {{events: any, scheduler: any, frames: any, decoded: any, view: any, outbox: any,
 *   say: Function, warn: Function}} parts
 */
export function createDesk({ events, scheduler, frames, decoded, view, outbox, say, warn }) {
  /** @type {Map<number, ReturnType<typeof createVideo>>} every video opened in this page's life: undo outlives switching */
  const opened = new Map();
  const hooks = document.documentElement.dataset;
  const pictureless = new Set();
  let opening = null;
  let direction = 1;
  let retryTimer = 0;
  let closeFailure = () => {};

  const desk = {
    /** @type {ReturnType<typeof createVideo>|null} */
    video: null,
    position: 0,
    /** @type {number|null} the frame on the canvases now */
    painted: null,
    objectId: 0,
    /** @type {{object: number, mask: import("./rle.js").Mask}|null} a mask that is being drawn on the painted frame */
    drawing: null,
    /** @type {{object: number, masks: Map<number, {rle: import("./rle.js").Rle, revision: number}>}|null} */
    preview: null,

    get frame() {
      return desk.video?.frames[desk.position];
    },
    get object() {
      return desk.video?.object(desk.objectId);
    },
    get last() {
      return desk.video ? desk.video.frames.length - 1 : 0;
    },
    /** The video of that id, where it was opened before. */
    known: (id) => opened.get(id),

    openVideo,
    goTo,
    refresh,
    redraw,
    selectObject,
    reloadTimeline,
    loadMasks,
    holdPlace,
  };

  /** @param {number} id @param {{frame?: number|null, object?: number|null}} [at] @returns {Promise<boolean>} */
  async function openVideo(id, at = {}) {
    if (desk.video?.id !== id) {
      if (!desk.preview) return loadVideo(id, at);
      say("Accept or cancel the preview first.");
      return false;
    }
    place(at);
    return true;
  }

  // What is known of it no longer holds.
  async function loadAgain(id) {
    const { frame, objectId } = desk;
    opened.delete(id);
    if (desk.video?.id !== id) return;
    if (await loadVideo(id, { frame, object: objectId })) warn("This video was labelled anew, and is loaded again.");
  }

  async function loadVideo(id, at) {
    opening?.abort();
    opening = new AbortController();
    const { signal } = opening;
    let meta, timeline;
    try {
      [meta, timeline] = await Promise.all([
        getJson(`/api/videos/${id}`, signal),
        getJson(`/api/videos/${id}/timeline`, signal),
      ]);
    } catch (error) {
      if (!isAbort(error)) warn(`Video ${id} cannot be opened: ${error.message}`, { kind: "open" });
      return false;
    }
    if (signal.aborted) return false;
    events.emit("leave");
    events.emit("leave-video");
    desk.video?.rest();
    decoded.clear();
    const known = opened.get(id);
    const video = known?.labelling === meta.labelling ? known : createVideo(meta, decoded);
    if (video !== known) frames.forget(id);
    opened.set(id, video);
    desk.video = video;
    desk.painted = null;
    takeTimeline(video, timeline);
    if (!video.frames.length) {
      warn(`Video ${id} has no labelled frames.`);
      desk.video = null;
      return false;
    }
    view.setSize(video.width, video.height);
    hooks.video = String(id);
    delete hooks.frame;
    desk.objectId = video.objects.some((o) => o.id === at.object) ? at.object : video.objects[0]?.id ?? 0;
    hooks.object = String(desk.objectId);
    desk.position = at.frame == null ? 0 : video.nearestPosition(at.frame);
    direction = 1;
    events.emit("video");
    events.emit("object");
    refresh();
    return true;
  }

  function place({ frame, object }) {
    if (object != null) selectObject(object);
    if (frame != null) goTo(desk.video.nearestPosition(frame));
  }

  /** @param {number} position among the labelled frames */
  function goTo(position) {
    if (!desk.video) return;
    const next = clamp(position, 0, desk.last);
    if (next === desk.position) return;
    events.emit("leave");
    direction = next > desk.position ? 1 : -1;
    desk.position = next;
    events.emit("position");
    refresh();
  }

  function takeTimeline(video, timeline) {
    video.setTimeline(timeline);
    for (const change of outbox.pendingOf(video.id)) video.mark(change.frame, change.object, change.rle ? "c" : ".");
  }

  async function reloadTimeline(video) {
    try {
      takeTimeline(video, await getJson(`/api/videos/${video.id}/timeline`));
      events.emit("timeline");
    } catch (error) {
      warn(`The scrub bar may be out of date: ${error.message}`, { kind: "timeline" });
    }
  }

  /**
   * @param {number} priority 0 urgent
   * @param {boolean} [kept] needed even after the page has moved on
   */
  async function loadMasks(video, frame, priority, kept = false) {
    if (video.hasMasks(frame)) return;
    await scheduler.load(`masks/${video.id}/${frame}`, priority, async (signal) => {
      const { objects } = await getJson(`/api/videos/${video.id}/frames/${frame}/masks`, signal);
      video.setMasks(frame, objects);
      for (const { object } of objects) {
        const change = outbox.pending(video.id, { frame, object });
        const rle = change?.rle ?? change?.shown;
        if (rle) video.setVersion(frame, object, { rle, model: !change.rle });
        video.mask(frame, object);
      }
    }, kept);
  }

  /** Paint the wanted frame, at once where it is at hand, else when it has come. */
  function refresh() {
    const { video, frame } = desk;
    if (!video) return;
    clearTimeout(retryTimer);
    const pictured = frames.has(video.id, frame) || pictureless.has(frames.key(video.id, frame));
    if (pictured && video.hasMasks(frame)) paint(video, frame);
    else fetchAndPaint(video, frame);
    prefetch(video);
  }

  async function fetchAndPaint(video, frame) {
    try {
      await Promise.all([picture(video, frame), loadMasks(video, frame, 0)]);
      if (wanted(video, frame)) paint(video, frame);
    } catch (error) {
      failed(video, frame, error);
    }
  }

  async function picture(video, frame) {
    try {
      await frames.load(video.id, frame, 0);
    } catch (error) {
      if (isAbort(error) || error.passing || error.status === 401) throw error;
      // The source cannot give this picture; its masks can still be looked at.
      pictureless.add(frames.key(video.id, frame));
      warn(`Frame ${frame} has no picture: ${error.message}`, { kind: "picture" });
    }
  }

  function wanted(video, frame) {
    return desk.video === video && desk.frame === frame;
  }

  function failed(video, frame, error) {
    if (isAbort(error) || !wanted(video, frame)) return;
    closeFailure = warn(`Frame ${frame} cannot be shown: ${error.message}`, { kind: "frame" });
    if (error.passing) retryTimer = setTimeout(refresh, TRY_AGAIN_MS);
  }

  function paint(video, frame) {
    closeFailure();
    frames.pin(video.id, frame);
    desk.painted = frame;
    view.show(frames.get(video.id, frame) ?? null, layers(), () => {
      hooks.frame = String(frame);
      holdPlace();
      events.emit("painted");
    });
  }

  function holdPlace() {
    const { video, frame, objectId } = desk;
    if (video) sessionStorage.setItem(PLACE_KEY, JSON.stringify({ video: video.id, frame, object: objectId }));
  }

  function prefetch(video) {
    const room = frames.room(video.width * video.height);
    const ahead = Math.min(AHEAD, Math.max(1, room - BEHIND));
    const behind = Math.min(BEHIND, room - 1);
    const keep = new Set();
    const near = [];
    for (let step = -behind; step <= ahead; step++) {
      const frame = video.frames[desk.position + step * direction];
      if (frame === undefined) continue;
      keep.add(frames.key(video.id, frame)).add(`masks/${video.id}/${frame}`);
      if (step) near.push({ frame, priority: step > 0 ? step : ahead - step });
    }
    scheduler.retain(keep);
    near.sort((a, b) => a.priority - b.priority);
    for (const { frame, priority } of near) {
      // A prefetch that fails says nothing: the frame is asked for again when it is stepped to.
      loadMasks(video, frame, priority).then(() => neighbourCame(frame), () => {});
      frames.load(video.id, frame, priority).catch(() => {});
    }
  }

  function neighbourCame(frame) {
    const { video, position } = desk;
    if (!setting("onion") || !video) return;
    if (frame === video.frames[position - 1] || frame === video.frames[position + 1]) redraw();
  }

  function maskOn(frame, id) {
    if (desk.drawing?.object === id && frame === desk.painted) return desk.drawing.mask;
    const previewed = desk.preview?.object === id ? desk.preview.masks.get(frame) : undefined;
    return previewed ? decoded.get(previewed.rle) : desk.video.mask(frame, id);
  }

  function layers() {
    const { video, painted, object: active, preview } = desk;
    const opacity = setting("opacity");
    const order = video.objects.filter((object) => object !== active);
    if (active) order.push(active);
    const list = [];
    for (const object of order) {
      const mask = object.shown ? maskOn(painted, object.id) : undefined;
      if (!mask) continue;
      const previewed = preview?.object === object.id && preview.masks.has(painted);
      list.push({ mask, colour: colourOf(object.index), opacity, edge: true, fill: true, dashed: previewed ? 1 : 0 });
    }
    if (setting("onion") && active?.shown) {
      const at = video.positionOf(painted);
      [video.frames[at - 1], video.frames[at + 1]].forEach((frame, i) => {
        const mask = frame === undefined ? undefined : maskOn(frame, active.id);
        if (mask) list.push({ mask, colour: ONION[i], opacity: 0, edge: true, fill: false, dashed: i + 1 });
      });
    }
    return list;
  }

  /** Draw the masks of the painted frame again. @param {import("./rle.js").Box|null} [part] only there they differ */
  function redraw(part) {
    if (desk.video && desk.painted !== null && desk.video.hasMasks(desk.painted)) view.setLayers(layers(), part);
  }

  /** @param {number} id */
  function selectObject(id) {
    if (!desk.video?.object(id) || id === desk.objectId) return;
    events.emit("leave");
    desk.objectId = id;
    hooks.object = String(id);
    holdPlace();
    events.emit("object");
    redraw();
  }

  events.on("relabelled", loadAgain);
  return desk;
}
