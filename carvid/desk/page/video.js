// The state of one opened video: its frames, objects, masks as last seen, timeline and history.

import { createHistory, maskKey } from "./history.js";
import { areaOf } from "./masks.js";

const FRAMES_OF_MASKS = 1500;

/**
 * @typedef {{object: number, revision: number, source: "model"|"hand", created: string|null, score: number|null,
 *   present: boolean, rle: import("./rle.js").Rle, verdict: string|null, restoring?: boolean}} Info one mask as the
 *   server tells it; restoring: the model's own mask was asked back and has not come yet
 * @typedef {{scores: Float32Array, present: Uint8Array, review: string[], suspicion: Float32Array|null}} Track
 *   per labelled frame; NaN: no score; review one of . a r s c
 */

/**
 * @param {any} meta the answer of /api/videos/{id}
 * @param {ReturnType<typeof import("./decoded.js").createDecoded>} decoded
 */
export function createVideo(meta, decoded) {
  /** @type {Map<number, Map<number, Info>>} */
  const masks = new Map();
  const positions = new Map(meta.frames.map((frame, position) => [frame, position]));

  return {
    id: meta.id,
    path: meta.path,
    /** How often the server had labelled it; of another labelling, nothing here holds. */
    labelling: meta.labelling,
    width: meta.width,
    height: meta.height,
    frames: meta.frames,
    damage: meta.damage ?? [],
    objects: meta.objects.map((object, index) => ({ ...object, index, shown: true, locked: false })),
    /** @type {Map<number, Track>} by object id */
    tracks: new Map(),
    history: createHistory(),
    /** @type {Map<string, number>} the last revision this page saw, by mask */
    revisions: new Map(),

    /** @param {number} position @returns {number} seconds from the first frame of the source */
    secondsAt(position) {
      if (meta.seconds) return meta.seconds[position];
      return meta.frames[position] / (meta.frame_rate ?? 25);
    },

    /** @param {number} frame @returns {number|undefined} */
    positionOf: (frame) => positions.get(frame),

    /** @param {number} frame @returns {number} the position of that frame or of the nearest labelled one */
    nearestPosition(frame) {
      let best = 0;
      meta.frames.forEach((other, i) => {
        if (Math.abs(other - frame) < Math.abs(meta.frames[best] - frame)) best = i;
      });
      return best;
    },

    object(id) {
      return this.objects.find((object) => object.id === id);
    },

    hasMasks: (frame) => masks.has(frame),

    /** @param {number} frame @param {number} object @returns {Info|undefined} */
    info: (frame, object) => masks.get(frame)?.get(object),

    /** Take what the server tells of a frame, but nothing older than what is held. @param {Info[]} infos */
    setMasks(frame, infos) {
      const held = masks.get(frame) ?? new Map();
      for (const info of infos) {
        if (held.has(info.object) && held.get(info.object).revision > info.revision) continue;
        held.set(info.object, info);
        this.revisions.set(maskKey({ frame, object: info.object }), info.revision);
      }
      masks.delete(frame);
      masks.set(frame, held);
      if (masks.size > FRAMES_OF_MASKS) masks.delete(masks.keys().next().value);
    },

    /** @param {number} frame */
    forgetMasks: (frame) => masks.delete(frame),

    /** Give back the memory of masks; history and revisions stay. */
    rest: () => masks.clear(),

    /** @param {number} frame @param {number} object @returns {import("./rle.js").Mask|undefined} not to be changed */
    mask(frame, object) {
      const info = masks.get(frame)?.get(object);
      return info && decoded.get(info.rle);
    },

    /**
     * Show another version of a mask at once, before the server has it.
     * @param {import("./rle.js").Mask} [drawn] its pixels, where they are at hand
     */
    setVersion(frame, object, { rle, model }, drawn) {
      const info = masks.get(frame)?.get(object);
      // Which pixels the model's own mask has is known only when the server has told it again.
      if (info && !rle) masks.get(frame).set(object, { ...info, restoring: true });
      if (info && rle) {
        if (drawn) decoded.put(rle, drawn);
        const present = areaOf(decoded.get(rle)) > 0;
        const source = model ? "model" : "hand";
        const next = { ...info, rle, source, present, score: null, verdict: null, restoring: false, created: new Date().toISOString() };
        masks.get(frame).set(object, next);
      }
      this.mark(frame, object, model ? "." : "c");
    },

    /** @param {string} review */
    mark(frame, object, review) {
      const track = this.tracks.get(object);
      const position = positions.get(frame);
      if (!track || position === undefined) return;
      track.review[position] = review;
      const info = masks.get(frame)?.get(object);
      if (info) {
        track.scores[position] = info.score ?? NaN;
        track.present[position] = info.present ? 1 : 0;
      }
    },

    /** @param {any} timeline the answer of /api/videos/{id}/timeline */
    setTimeline(timeline) {
      for (const row of timeline.objects) {
        this.tracks.set(row.id, {
          scores: Float32Array.from(row.scores, (score) => score ?? NaN),
          present: Uint8Array.from(row.present, (character) => (character === "1" ? 1 : 0)),
          review: [...row.review],
          suspicion: row.suspicion ? Float32Array.from(row.suspicion, (value) => value ?? 0) : null,
        });
      }
    },

    /** @returns {{accepted: number, rejected: number, skipped: number, corrected: number}} */
    counts() {
      const names = { a: "accepted", r: "rejected", s: "skipped", c: "corrected" };
      const counts = { accepted: 0, rejected: 0, skipped: 0, corrected: 0 };
      for (const track of this.tracks.values()) {
        for (const review of track.review) if (names[review]) counts[names[review]] += 1;
      }
      return counts;
    },
  };
}
