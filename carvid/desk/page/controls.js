// Buttons, sliders and boxes of the page: each runs a command or shows a setting.

import { ABOUT } from "./about.js";
import { byId, clamp, setText } from "./dom.js";
import { focusPicture } from "./focus.js";
import { COMMANDS, written } from "./keys.js";
import { keepSetting, setting } from "./settings.js";

const LARGEST_BRUSH = 200;

/** @param {number} radius in pixels of the picture @param {number} factor */
export const nextBrush = (radius, factor) =>
  clamp((factor > 1 ? Math.max : Math.min)(radius + Math.sign(factor - 1), Math.round(radius * factor)), 1, LARGEST_BRUSH);

/**
 * @param {{desk: any, events: any, view: any, tools: any, shortcuts: any}} parts
 */
export function createControls({ desk, events, view, tools, shortcuts }) {
  function nameKeys() {
    const commands = new Map(COMMANDS.map((command) => [command.id, command]));
    for (const button of document.querySelectorAll("[data-command]")) {
      const command = commands.get(button.dataset.command);
      if (!command) continue; // Rows of the shortcut sheet name theirs by themselves.
      const keys = shortcuts.keysOf(command);
      const about = ABOUT[command.id] ?? command.label;
      button.title = keys.length ? `${about} (${keys.map(written).join(", ")})` : about;
      if (keys.length) button.setAttribute("aria-keyshortcuts", keys.map((key) => key.replace("Ctrl", "Control")).join(" "));
      else button.removeAttribute("aria-keyshortcuts");
    }
  }

  function show() {
    byId("opacity").value = String(Math.round(setting("opacity") * 100));
    setText(byId("opacity-text"), `${Math.round(setting("opacity") * 100)}%`);
    byId("brush-size").value = String(setting("brush"));
    setText(byId("brush-text"), `${setting("brush")} px`);
    byId("go-on").checked = setting("goOn");
    byId("onion").setAttribute("aria-pressed", String(setting("onion")));
    byId("labels").setAttribute("aria-pressed", String(setting("labels")));
    for (const button of document.querySelectorAll("[data-tool]")) {
      button.setAttribute("aria-pressed", String(button.dataset.tool === tools.name));
    }
  }

  function history() {
    const { video, frame } = desk;
    byId("undo").disabled = !video?.history.canUndo(frame);
    byId("redo").disabled = !video?.history.canRedo(frame);
  }

  /** Keep a setting and show what it changes. @param {string} name @param {any} value */
  function set(name, value) {
    keepSetting(name, value);
    show();
    desk.redraw();
    view.ask();
  }

  for (const button of document.querySelectorAll("button[data-command]")) {
    button.addEventListener("click", () => shortcuts.run(button.dataset.command));
    // A press of the mouse leaves the focus where it is, so that Space still plays.
    button.addEventListener("mousedown", (event) => event.preventDefault());
  }
  byId("opacity").addEventListener("input", (event) => set("opacity", Number(event.target.value) / 100));
  byId("brush-size").addEventListener("input", (event) => set("brush", Number(event.target.value)));
  byId("go-on").addEventListener("change", (event) => set("goOn", event.target.checked));
  byId("frame-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!desk.video) return;
    desk.goTo(desk.video.nearestPosition(Number(byId("frame-number").value)));
    focusPicture();
  });
  byId("frame-number").addEventListener("blur", () => {
    if (desk.painted !== null) byId("frame-number").value = String(desk.painted);
  });

  function showVideo() {
    const { video } = desk;
    setText(byId("video-title"), video.path);
    document.title = `${video.path} – carvid desk`;
    byId("damage").hidden = !video.damage.length;
    setText(byId("damage"), video.damage.length ? `Damaged: ${video.damage.join("; ")}` : "");
    byId("frame-number").min = String(video.frames[0]);
    byId("frame-number").max = String(video.frames.at(-1));
    document.body.dataset.open = "yes";
  }

  events.on("video", showVideo);
  events.on("tool", show);
  events.on("crosshair", (on) => byId("crosshair").setAttribute("aria-pressed", String(on)));
  for (const type of ["video", "position", "masks", "painted"]) events.on(type, history);
  nameKeys();
  show();
  return { set, nameKeys };
}
