// Keeps what is said about the picture true: its label, the frame line, and the polite announcements.

import { byId, setText } from "./dom.js";
import { scoreOf, stateOf } from "./objects.js";

const QUIET_MS = 350;

/** @param {{desk: any, events: any, playing: () => boolean}} parts */
export function createAnnouncer({ desk, events, playing }) {
  let timer = 0;

  function describe(object) {
    const info = desk.video.info(desk.painted, object.id);
    return `${object.query}: ${info?.present ? "present" : "not present"}, ${scoreOf(info)}, ${stateOf(info)}`;
  }

  const line = (frame, object) => `Frame ${frame}. ${object ? describe(object) : ""}`;

  function tell() {
    const { video, painted, position, object } = desk;
    if (!video || painted === null) return;
    const all = video.objects.map(describe).join("; ");
    byId("frame-canvas").setAttribute("aria-label", `Frame ${painted} of ${video.path}. ${all}`);
    const range = video.frames.length > 1 ? `of ${video.frames[0]}–${video.frames.at(-1)}` : "is the only one";
    setText(byId("frame-text"), `${range} · ${video.secondsAt(position).toFixed(2)} s`);
    if (document.activeElement !== byId("frame-number")) byId("frame-number").value = String(painted);
    clearTimeout(timer);
    if (!playing()) timer = setTimeout(() => setText(byId("announce-frame"), line(painted, object)), QUIET_MS);
  }

  for (const type of ["painted", "object"]) events.on(type, tell);
}
