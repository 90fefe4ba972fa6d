// Plays the open video at its true speed, waiting where frames have not come yet.

import { byId } from "./dom.js";

/** @param {{desk: any, events: any, frames: any, say: (text: string) => void}} parts */
export function createPlayback({ desk, events, frames, say }) {
  let playing = false;
  let from = 0;
  let since = 0;
  let stepping = false;

  function set(on) {
    if (playing === on) return;
    playing = on;
    byId("play").setAttribute("aria-pressed", String(on));
    byId("play").dataset.playing = on ? "yes" : "no";
    byId("play").setAttribute("aria-label", on ? "Pause" : "Play");
    events.emit("playing", on);
  }

  const ready = (position) => {
    const frame = desk.video.frames[position];
    return frames.has(desk.video.id, frame) && desk.video.hasMasks(frame);
  };

  function rebase(now) {
    from = desk.video.secondsAt(desk.position);
    since = now;
  }

  function tick(now) {
    if (!playing || !desk.video) return;
    if (desk.position >= desk.last) {
      set(false);
      return;
    }
    if (desk.painted !== desk.frame) rebase(now);
    else {
      const seconds = from + (now - since) / 1000;
      let next = desk.position;
      while (next < desk.last && desk.video.secondsAt(next + 1) <= seconds && ready(next + 1)) next += 1;
      const late = next < desk.last && desk.video.secondsAt(next + 1) <= seconds;
      if (next === desk.position && late) next += 1; // Not here yet: go there and wait for it.
      if (next !== desk.position) {
        stepping = true;
        desk.goTo(next);
        stepping = false;
        if (late) rebase(now);
      }
    }
    requestAnimationFrame(tick);
  }

  // A step that something else makes while playing goes on from there.
  events.on("position", () => {
    if (playing && !stepping) rebase(performance.now());
  });
  events.on("leave-video", () => set(false));

  return {
    get playing() {
      return playing;
    },
    stop: () => set(false),
    toggle() {
      if (!desk.video) return;
      if (playing) return set(false);
      if (!desk.last) return void say("This video has one frame: there is nothing to play.");
      if (desk.position >= desk.last) desk.goTo(0);
      set(true);
      say("Playing.");
      requestAnimationFrame((now) => {
        rebase(now);
        tick(now);
      });
    },
  };
}
