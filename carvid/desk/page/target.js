// Says which mask an edit goes to, or tells why there is none now.

/**
 * @param {{desk: any, say: (text: string) => void}} parts
 * @returns {() => {frame: number, object: any, mask: import("./rle.js").Mask}|null}
 */
export function createTarget({ desk, say }) {
  return () => {
    const { video, object, frame } = desk;
    const refusal = !video
      ? "Open a video first."
      : !object
        ? "This video has no objects."
        : desk.painted !== frame || !video.hasMasks(frame)
          ? "The frame is still loading."
          : object.locked
            ? `Object ${object.index + 1}, "${object.query}", is locked.`
            : !object.shown
              ? `Object ${object.index + 1}, "${object.query}", is hidden. Show it first.`
              : desk.preview
                ? "Accept or cancel the preview first."
                : video.info(frame, object.id).restoring
                  ? "The model's own mask has not come yet."
                  : "";
    if (refusal) {
      say(refusal);
      return null;
    }
    return { frame, object, mask: video.mask(frame, object.id) };
  };
}
