// Edits of masks, undo and redo, and verdicts: shown at once, remembered, and put in the outbox.

import { getJson } from "./api.js";
import { maskKey } from "./history.js";
import { encode, sameRle } from "./rle.js";

const REVIEW = { accepted: "a", rejected: "r", skipped: "s" };

/** @typedef {{frame: number, object: number, rle: import("./rle.js").Rle|null, revision?: number,
 *   drawn?: import("./rle.js").Mask}} Edit rle null: back to the model's own mask; drawn: the pixels, where at hand */

/** @param {{desk: any, events: any, outbox: any, say: (text: string) => void, warn: (text: string) => void}} parts */
export function createEdits({ desk, events, outbox, say, warn }) {
  /** @type {Map<string, (masks: number) => string>} what to say when the server has an entry, by its id */
  const sayings = new Map();

  function versionOf(video, { frame, object }) {
    const info = video.info(frame, object);
    return { rle: info.rle, model: info.source === "model" };
  }

  function write(video, label, writes) {
    const changes = writes.map(({ frame, object, version, revision, drawn }) => {
      video.setVersion(frame, object, version, drawn);
      const seen = revision ?? video.revisions.get(maskKey({ frame, object }));
      return { frame, object, revision: seen, rle: version.model ? null : version.rle, shown: version.rle };
    });
    const entry = outbox.add({ video: video.id, path: video.path, labelling: video.labelling, label, changes });
    events.emit("masks");
    desk.redraw();
    return entry;
  }

  /**
   * Change masks as one step that can be undone. The masks of every frame must have been loaded.
   * @param {string} label what was done, for messages
   * @param {Edit[]} edits
   * @param {{from?: number, done?: (masks: number) => string}} [more] from: the frame it is made from, where it can be undone
   *   too; done: what to say when the server has it
   * @returns {boolean} whether anything is changed
   */
  function edit(label, edits, { from, done } = {}) {
    const { video } = desk;
    const real = edits.filter((one) => {
      const before = versionOf(video, one);
      return one.rle ? before.model || !sameRle(before.rle, one.rle) : !before.model;
    });
    if (!real.length) return false;
    const writes = real.map((one) => ({ ...one, version: { rle: one.rle, model: one.rle === null } }));
    const changes = writes.map((one) => ({
      frame: one.frame,
      object: one.object,
      before: versionOf(video, one),
      after: one.version,
    }));
    video.history.add(label, changes, from);
    const entry = write(video, label, writes);
    if (done) sayings.set(entry.id, done);
    return true;
  }

  function travel(way, done) {
    const { video, frame } = desk;
    if (!video) return;
    if (desk.preview) return void say("Accept or cancel the preview first.");
    events.emit("leave");
    const found = video.history[way](frame);
    if (!found) {
      say(`Nothing to ${way} in this frame.`);
      return;
    }
    write(video, `${way} of ${found.label}`, found.writes);
    const frames = new Set(found.writes.map((one) => one.frame)).size;
    const more = found.steps > 1 ? `, with ${found.steps - 1} more drawn over the same masks` : "";
    say(`${done}: ${found.label}${frames > 1 ? ` in ${frames} frames` : ""}${more}.`);
  }

  /** @param {"accepted"|"rejected"|"skipped"|null} verdict @param {number[]} ids objects of the frame */
  function judge(verdict, ids) {
    const { video, frame } = desk;
    if (!video?.hasMasks(frame)) return false;
    const masks = ids.map((object) => ({ frame, object, revision: video.revisions.get(maskKey({ frame, object })) }));
    for (const { object } of masks) {
      const info = video.info(frame, object);
      info.verdict = verdict;
      video.mark(frame, object, REVIEW[verdict] ?? (info.source === "hand" ? "c" : "."));
    }
    outbox.add({ video: video.id, path: video.path, labelling: video.labelling, label: verdict ?? "verdict taken back", verdict, masks });
    events.emit("masks");
    return true;
  }

  /** @param {string} verdict @param {number} first @param {number} last frames, both included @param {() => string} done as above */
  function judgeStretch(verdict, object, first, last, done) {
    const { video } = desk;
    for (const frame of video.frames) {
      if (frame < first || frame > last) continue;
      const info = video.info(frame, object);
      if (info) info.verdict = verdict;
      video.tracks.get(object).review[video.positionOf(frame)] = REVIEW[verdict];
    }
    const entry = outbox.add({ video: video.id, path: video.path, labelling: video.labelling, label: verdict, verdict, object, first, last });
    sayings.set(entry.id, done);
    events.emit("masks");
  }

  async function refetch(video, frames) {
    for (const frame of frames) {
      try {
        const { objects } = await getJson(`/api/videos/${video.id}/frames/${frame}/masks`);
        takeSettled(video, frame, objects);
      } catch (error) {
        video.forgetMasks(frame);
        warn(`Frame ${frame} may be out of date: ${error.message}`);
      }
    }
    if (desk.video === video) desk.refresh();
    events.emit("masks");
  }

  function takeSettled(video, frame, infos) {
    video.setMasks(frame, infos.filter(({ object }) => !outbox.pending(video.id, { frame, object })));
    for (const info of infos) {
      const review = REVIEW[info.verdict] ?? (info.source === "hand" ? "c" : ".");
      if (!outbox.pending(video.id, { frame, object: info.object })) video.mark(frame, info.object, review);
    }
  }

  function sent({ entry, revisions }) {
    const done = sayings.get(entry.id);
    sayings.delete(entry.id);
    if (done) say(done(entry.changes?.length ?? 0));
    const video = desk.known(entry.video);
    if (!video) return;
    for (const change of entry.changes ?? []) {
      const revision = revisions.get(maskKey(change));
      video.revisions.set(maskKey(change), revision);
      const info = video.info(change.frame, change.object);
      if (info) info.revision = revision;
    }
    // What a closed page made may have come while the masks were on their way.
    const unseen = entry.adopted ? entry.changes ?? entry.masks ?? [] : (entry.changes ?? []).filter((change) => change.rle === null);
    const frames = [...new Set(unseen.map((change) => change.frame))];
    const onShow = (frame) => entry.adopted && desk.video === video && desk.frame === frame;
    const seen = frames.filter((frame) => video.hasMasks(frame) || onShow(frame));
    if (seen.length) refetch(video, seen);
    if ((frames.length > seen.length || entry.first !== undefined) && desk.video === video) desk.reloadTimeline(video);
    events.emit("masks");
  }

  // Another version stands on the server: show it, and let no undo step write over it.
  function dropped({ entry, conflicts, masks: some }) {
    const video = desk.known(entry.video);
    if (!some) sayings.delete(entry.id);
    if (!video) return;
    const masks = some ?? entry.changes ?? entry.masks ?? [];
    if (some) video.history.leaveOut(some);
    else video.history.forget(masks);
    const frames = new Set([...masks, ...conflicts].map((mask) => mask.frame));
    for (const frame of frames) video.forgetMasks(frame);
    if (desk.video === video) {
      desk.refresh();
      desk.reloadTimeline(video);
    }
    events.emit("masks");
  }

  // Edits that a closed page left unsent: shown here as what they will be.
  function adopted(entries) {
    for (const entry of entries) {
      const video = desk.known(entry.video);
      if (!video) continue;
      video.history.forget(entry.changes ?? []);
      for (const { frame, object, rle, shown } of entry.changes ?? []) {
        video.setVersion(frame, object, { rle: rle ?? shown ?? null, model: !rle });
      }
    }
    events.emit("masks");
    desk.redraw();
  }

  events.on("sent", sent);
  events.on("adopted", adopted);
  events.on("dropped", dropped);
  events.on("overwriting", ({ entry, conflicts }) => {
    for (const { frame, current } of conflicts) {
      const version = { rle: current.rle, model: current.source === "model" };
      desk.known(entry.video)?.history.rebase({ frame, object: current.object }, version);
    }
  });
  events.on("stale-verdict", ({ entry, conflicts }) => {
    const frames = [...new Set(conflicts.map((conflict) => conflict.frame))];
    const where = frames.length ? `the mask of frame ${frames[0]} was changed` : "the video was labelled anew";
    sayings.delete(entry.id);
    say(`Not ${entry.label}.`); // In the place of what said that it was.
    warn(`Not ${entry.label}: ${where} since it was shown here. Look at it again.`, { stays: true });
    const video = desk.known(entry.video);
    if (video) refetch(video, frames);
  });

  return {
    edit,
    undo: () => travel("undo", "Undone"),
    redo: () => travel("redo", "Redone"),
    judge,
    judgeStretch,

    /** Put a drawn mask in the place of the active object's. @param {import("./rle.js").Mask} mask */
    replace(label, frame, object, mask) {
      return edit(label, [{ frame, object, rle: encode(mask), drawn: mask }]);
    },
  };
}
