// The cache of decoded pictures: least recently used out first, bounded by bytes.

import { getBlob } from "./api.js";

const BUDGET_BYTES = 300e6;
const BYTES_PER_PIXEL = 4;

/** @param {ReturnType<typeof import("./scheduler.js").createScheduler>} scheduler */
export function createFrames(scheduler) {
  /** @type {Map<string, ImageBitmap>} oldest use first */
  const bitmaps = new Map();
  let bytes = 0;
  let pinned = "";

  const sizeOf = (bitmap) => bitmap.width * bitmap.height * BYTES_PER_PIXEL;

  function evict() {
    for (const [key, bitmap] of bitmaps) {
      if (bytes <= BUDGET_BYTES) return;
      if (key === pinned) continue;
      bitmaps.delete(key);
      bytes -= sizeOf(bitmap);
      bitmap.close();
    }
  }

  return {
    /** @param {number} video @param {number} frame */
    key: (video, frame) => `picture/${video}/${frame}`,

    has(video, frame) {
      return bitmaps.has(this.key(video, frame));
    },

    /** @returns {ImageBitmap|undefined} */
    get(video, frame) {
      const key = this.key(video, frame);
      const bitmap = bitmaps.get(key);
      if (bitmap) {
        bitmaps.delete(key);
        bitmaps.set(key, bitmap);
      }
      return bitmap;
    },

    /** Drop the pictures of a video, whose source may be another one now. */
    forget(video) {
      for (const [key, bitmap] of bitmaps) {
        if (!key.startsWith(`picture/${video}/`)) continue;
        bitmaps.delete(key);
        bytes -= sizeOf(bitmap);
        bitmap.close();
      }
    },

    /** Keep the picture on show from being closed. */
    pin(video, frame) {
      pinned = this.key(video, frame);
    },

    /** How many pictures of that many pixels the cache takes with room to spare. */
    room: (pixels) => Math.floor((0.6 * BUDGET_BYTES) / (pixels * BYTES_PER_PIXEL)),

    /** @param {boolean} [kept] needed even after the page has moved on @returns {Promise<ImageBitmap>} */
    async load(video, frame, priority, kept = false) {
      const key = this.key(video, frame);
      const held = this.get(video, frame);
      if (held) return held;
      return scheduler.load(key, priority, async (signal) => {
        const blob = await getBlob(`/api/videos/${video}/frames/${frame}`, signal);
        const bitmap = await createImageBitmap(blob);
        if (signal.aborted) {
          bitmap.close();
          throw new DOMException("no longer wanted", "AbortError");
        }
        bitmaps.set(key, bitmap);
        bytes += sizeOf(bitmap);
        evict();
        return bitmap;
      }, kept);
    },
  };
}
