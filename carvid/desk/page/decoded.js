// Decoded masks by their run-length codes: the least recently used go first, bounded by bytes.

import { decode } from "./rle.js";

const BUDGET_BYTES = 200e6;

/** @typedef {import("./rle.js").Rle} Rle @typedef {import("./rle.js").Mask} Mask */

export function createDecoded() {
  /** @type {Map<Rle, Mask>} oldest use first; by identity, for codes are never changed in place */
  const masks = new Map();
  let bytes = 0;

  function hold(rle, mask) {
    masks.set(rle, mask);
    bytes += mask.bits.length;
    for (const [old, { bits }] of masks) {
      if (bytes <= BUDGET_BYTES || old === rle) break;
      masks.delete(old);
      bytes -= bits.length;
    }
  }

  return {
    /** @param {Rle} rle @returns {Mask} not to be changed */
    get(rle) {
      const held = masks.get(rle);
      if (held) {
        masks.delete(rle);
        masks.set(rle, held);
        return held;
      }
      const mask = decode(rle);
      hold(rle, mask);
      return mask;
    },

    /** Keep the pixels a code was made of. @param {Rle} rle @param {Mask} mask */
    put(rle, mask) {
      if (!masks.has(rle)) hold(rle, mask);
    },

    clear() {
      masks.clear();
      bytes = 0;
    },
  };
}
