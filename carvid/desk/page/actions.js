// What each command of the table does.

import { nextBrush } from "./controls.js";
import { setting } from "./settings.js";
import { nextTheme } from "./theme.js";

const HOP = 10;
const ZOOM = 1.25;
const OPACITY_STEP = 0.1;
// What works without an open video.
const FREE = new Set([
  "next-video", "previous-video", "filter", "worst-of-all", "go-on", "smaller", "larger", "onion", "labels", "more-opaque",
  "less-opaque", "progress", "theme", "keys", "retry",
]);
const DONE = { accepted: "Accepted", rejected: "Rejected", skipped: "Skipped" };

/** @param {any} page all parts of the page by name @returns {Record<string, () => void>} by command id */
export function createActions(page) {
  const { desk, edits, say } = page;

  function stop() {
    page.playback.stop();
  }

  function step(count) {
    stop();
    desk.goTo(desk.position + count);
  }

  function judge(verdict, ids) {
    stop();
    const { frame, position, object } = desk;
    if (!object) return;
    if (desk.preview) return void say("Accept or cancel the preview first.");
    page.tools.settle();
    if (desk.painted !== frame || !edits.judge(verdict, ids ?? [object.id])) {
      say("The frame is still loading.");
      return;
    }
    const what = ids?.length > 1 ? `all ${ids.length} objects` : object.query;
    say(verdict ? `${DONE[verdict]}: ${what}, frame ${frame}.` : `Verdict taken back: ${what}, frame ${frame}.`);
    if (verdict && setting("goOn")) desk.goTo(position + 1);
  }

  function tool(name) {
    return () => (page.tools.has(name) ? page.tools.choose(name) : say("This server names no model to click with."));
  }

  function confirm(other) {
    if (page.tools.pending()) page.tools.confirm(other);
    else if (!other) page.preview.accept();
  }

  function toggle(name, words) {
    page.controls.set(name, !setting(name));
    say(words[setting(name) ? 0 : 1]);
  }

  function opacity(change) {
    page.controls.set("opacity", Math.min(1, Math.max(0, Math.round((setting("opacity") + change) * 100) / 100)));
  }

  const objects = Object.fromEntries(
    Array.from({ length: 9 }, (_, index) => [`object-${index + 1}`, () => page.objects.select(index)]),
  );

  const actions = {
    ...objects,
    next: () => step(1),
    previous: () => step(-1),
    "hop-on": () => step(HOP),
    "hop-back": () => step(-HOP),
    first: () => step(-desk.position),
    last: () => step(desk.last - desk.position),
    play: () => page.playback.toggle(),
    worst: () => (stop(), page.jumps.worst()),
    "worst-of-all": () => (stop(), page.jumps.worstOfAll()),
    unreviewed: () => (stop(), page.jumps.unreviewed()),
    "next-video": () => page.videos.step(1),
    "previous-video": () => page.videos.step(-1),
    filter: () => page.videos.focusFilter(),
    "next-object": () => page.objects.step(1),
    "previous-object": () => page.objects.step(-1),
    show: () => page.objects.toggleShown(),
    lock: () => page.objects.toggleLocked(),
    accept: () => judge("accepted"),
    reject: () => judge("rejected"),
    skip: () => judge("skipped"),
    "take-back": () => judge(null),
    "accept-frame": () => desk.video && judge("accepted", desk.video.objects.map((object) => object.id)),
    "accept-stretch": () => (stop(), page.forms.openStretch()),
    "go-on": () => toggle("goOn", ["Goes on after a verdict.", "Stays after a verdict."]),
    hand: tool("hand"),
    brush: tool("brush"),
    eraser: tool("eraser"),
    polygon: tool("polygon"),
    click: tool("click"),
    crosshair: () => page.tools.toggleCrosshair(),
    smaller: () => page.controls.set("brush", nextBrush(setting("brush"), 1 / 1.2)),
    larger: () => page.controls.set("brush", nextBrush(setting("brush"), 1.2)),
    confirm: () => confirm(false),
    "confirm-other": () => confirm(true),
    cancel: () => page.tools.drop() || page.preview.cancel() || page.tools.leavePointer(),
    "delete-vertex": () => page.tools.deleteVertex(),
    undo: () => (page.tools.pending() ? page.tools.undo() : edits.undo()),
    redo: () => edits.redo(),
    "fill-holes": () => page.maskCommands.fillHoles(),
    "keep-largest": () => page.maskCommands.keepLargest(),
    clear: () => page.maskCommands.clear(),
    restore: () => page.maskCommands.restore(),
    "propagate-forward": () => (stop(), page.preview.propagate("forward")),
    "propagate-backward": () => (stop(), page.preview.propagate("backward")),
    "propagate-both": () => (stop(), page.preview.propagate("both")),
    ask: () => (stop(), page.forms.openAsk()),
    fit: () => page.view.fit(),
    "one-to-one": () => page.view.oneToOne(),
    "zoom-in": () => page.view.zoom(ZOOM),
    "zoom-out": () => page.view.zoom(1 / ZOOM),
    onion: () => toggle("onion", ["Outlines of the frames before and after shown.", "Outlines hidden."]),
    labels: () => toggle("labels", ["Numbers shown.", "Numbers hidden."]),
    "more-opaque": () => opacity(OPACITY_STEP),
    "less-opaque": () => opacity(-OPACITY_STEP),
    progress: () => page.progress.open(),
    theme: () => say(`Theme: ${nextTheme()}.`),
    keys: () => page.sheet.open(),
    retry: () => page.outbox.retry(),
  };
  const guarded = ([id, act]) => [id, FREE.has(id) ? act : () => (desk.video ? act() : say("Open a video first."))];
  return Object.fromEntries(Object.entries(actions).map(guarded));
}
