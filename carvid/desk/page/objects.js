// The list of the open video's objects, as they are in the frame on show.

import { colourOf } from "./colours.js";
import { byId, icon, make, setText } from "./dom.js";

const VERDICTS = { accepted: "accepted", rejected: "rejected", skipped: "skipped" };

/** @param {any} info @returns {string} where the mask comes from and what was said of it */
export function stateOf(info) {
  if (!info) return "loading";
  const source = info.source === "hand" ? "corrected" : "model";
  return info.verdict ? `${source}, ${VERDICTS[info.verdict]}` : source;
}

/** @param {any} info */
export const scoreOf = (info) => (info?.score == null ? "no score" : `score ${info.score.toFixed(2)}`);

/** @param {{desk: any, events: any, outbox: any, say: (text: string) => void}} parts */
export function createObjects({ desk, events, outbox, say }) {
  const list = byId("object-list");

  function toggle(object, what) {
    events.emit("leave");
    object[what] = !object[what];
    const words = what === "shown" ? ["shown", "hidden"] : ["locked", "unlocked"];
    say(`Object ${object.index + 1} ${words[object[what] ? 0 : 1]}.`);
    render();
    desk.redraw();
  }

  function press(id, label, pressed, image, click) {
    const named = { id, type: "button", className: "small", ariaLabel: label, title: label };
    const button = make("button", { ...named, on: { click } }, icon(image));
    button.setAttribute("aria-pressed", String(pressed));
    return button;
  }

  function rowOf(object) {
    const { video, painted } = desk;
    const info = painted === null ? undefined : video.info(painted, object.id);
    const active = object.id === desk.objectId;
    const chip = make("span", { className: colourOf(object.index).hatch ? "chip hatch" : "chip", ariaHidden: "true" }, String(object.index + 1));
    chip.style.setProperty("--object", colourOf(object.index).css);
    const unsent = painted !== null && outbox.pending(video.id, { frame: painted, object: object.id });
    const score = !info ? "" : !info.present ? "not present" : info.score === null ? "" : scoreOf(info);
    const facts = [score, stateOf(info), unsent ? "unsent" : ""].filter(Boolean);
    const choose = make("button", {
      id: `object-${object.id}`,
      type: "button",
      className: "object-name",
      on: { click: () => desk.selectObject(object.id) },
    }, chip, make("span", { className: "query" }, object.query, object.is_track ? make("span", { className: "tag" }, "track") : ""),
      make("span", { className: "facts" }, ...facts.flatMap((fact, i) => [
        ...(i ? [make("span", { className: "sr" }, ", ")] : []),
        make("span", {}, fact),
      ])));
    choose.setAttribute("aria-pressed", String(active));
    const { id, index, shown, locked } = object;
    const row = make("li", { className: active ? "object active" : "object" }, choose,
      press(`show-${id}`, `Show object ${index + 1}`, shown, shown ? "shown" : "hidden", () => toggle(object, "shown")),
      press(`lock-${id}`, `Lock object ${index + 1}`, locked, locked ? "locked" : "open", () => toggle(object, "locked")));
    row.dataset.review = info?.verdict ?? (info?.source === "hand" ? "corrected" : "none");
    return row;
  }

  function render() {
    if (!desk.video) return;
    const focused = document.activeElement?.id;
    const { scrollTop } = list;
    list.replaceChildren(...desk.video.objects.map(rowOf));
    list.scrollTop = scrollTop;
    if (focused && list.querySelector(`#${CSS.escape(focused)}`)) byId(focused).focus();
    setText(byId("objects-count"), desk.video.objects.length > 1 ? String(desk.video.objects.length) : "");
    setText(byId("active-name"), desk.object ? `${desk.object.index + 1} · ${desk.object.query}` : "");
  }

  function reveal() {
    const row = list.querySelector(".active");
    if (!row) return;
    const top = row.offsetTop - list.offsetTop;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + row.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = top + row.offsetHeight - list.clientHeight;
  }

  for (const type of ["video", "object", "painted", "masks", "timeline"]) events.on(type, render);
  events.on("object", reveal);

  return {
    toggleShown: () => desk.object && toggle(desk.object, "shown"),
    toggleLocked: () => desk.object && toggle(desk.object, "locked"),

    /** @param {number} index in the list */
    select: (index) => desk.selectObject(desk.video?.objects[index]?.id),

    /** @param {1|-1} way */
    step(way) {
      const { video, object } = desk;
      if (object) desk.selectObject(video.objects[(object.index + way + video.objects.length) % video.objects.length].id);
    },
  };
}
