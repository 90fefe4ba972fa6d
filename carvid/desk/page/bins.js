// Brings the timeline of any number of frames to as many columns as the scrub bar has. Pure.

/** @typedef {import("./video.js").Track} Track */

const NOTABLE = [".", "a", "s", "c", "r"];

/**
 * @param {Track} track
 * @param {number} columns at least 1
 * @returns {{score: Float32Array, lowest: Float32Array, present: Float32Array, suspicion: Float32Array,
 *   review: Uint8Array, reviewed: Float32Array}} per column: mean and lowest score (NaN: none), share of frames where the
 *   object is there, highest suspicion, the most notable review state as index into REVIEWS, share of frames reviewed
 */
export function binTrack(track, columns) {
  const frames = track.present.length;
  const bins = {
    score: new Float32Array(columns).fill(NaN),
    lowest: new Float32Array(columns).fill(NaN),
    present: new Float32Array(columns),
    suspicion: new Float32Array(columns),
    review: new Uint8Array(columns),
    reviewed: new Float32Array(columns),
  };
  for (let column = 0; column < columns; column++) {
    const from = Math.floor((column * frames) / columns);
    const to = Math.max(from + 1, Math.floor(((column + 1) * frames) / columns));
    let sum = 0;
    let scored = 0;
    let lowest = Infinity;
    for (let i = from; i < to && i < frames; i++) {
      const score = track.scores[i];
      if (score === score) {
        sum += score;
        scored += 1;
        if (score < lowest) lowest = score;
      }
      bins.present[column] += track.present[i];
      const state = NOTABLE.indexOf(track.review[i]);
      if (state > bins.review[column]) bins.review[column] = state;
      if (state > 0) bins.reviewed[column] += 1;
      const suspicion = track.suspicion?.[i] ?? 0;
      if (suspicion > bins.suspicion[column]) bins.suspicion[column] = suspicion;
    }
    bins.present[column] /= to - from;
    bins.reviewed[column] /= to - from;
    if (scored) {
      bins.score[column] = sum / scored;
      bins.lowest[column] = lowest;
    }
  }
  return bins;
}

/** Review states in the order binTrack counts them. */
export const REVIEWS = NOTABLE;

/** @param {number} x in [0, width] @param {number} width @param {number} frames @returns {number} position of the frame under x */
export const positionAt = (x, width, frames) => Math.min(frames - 1, Math.max(0, Math.floor((x / width) * frames)));
