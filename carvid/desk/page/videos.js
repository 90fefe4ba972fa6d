// The list of videos: filter, progress, keyboard; only the rows in sight are in the document.

import { getJson } from "./api.js";
import { byId, clamp, counted, make, setText } from "./dom.js";
import { focusPicture } from "./focus.js";

const ROW_PX = 46;
const SPARE_ROWS = 6;
const LOOK_AGAIN_MS = 10000;
const STATUS = { waiting: "waiting", running: "running", failed: "failed" };

/** @param {{desk: any, events: any, say: Function, warn: Function}} parts */
export function createVideos({ desk, events, say, warn }) {
  const list = byId("video-list");
  const inner = byId("video-rows");
  const filter = byId("video-filter");
  let all = [];
  let shown = [];
  let cursor = 0;
  let asked = false;

  const reviewedOf = (video) => Object.values(video.reviewed).reduce((sum, count) => sum + count, 0);

  function barOf(video) {
    const bar = make("span", { className: "progress", ariaHidden: "true" });
    for (const kind of ["accepted", "corrected", "rejected", "skipped"]) {
      const part = make("span", { className: `part ${kind}` });
      part.style.width = `${(100 * video.reviewed[kind]) / Math.max(1, video.masks)}%`;
      bar.append(part);
    }
    return bar;
  }

  function rowOf(video, index) {
    const done = reviewedOf(video);
    const share = video.status === "done" ? `${done} / ${video.masks}` : STATUS[video.status] ?? video.status;
    const cut = video.path.lastIndexOf("/") + 1;
    const row = make("div", {
      id: `video-${video.id}`,
      className: "video-row",
      role: "option",
      title: video.error ? `${video.path}: ${video.error}` : video.path,
      ariaSelected: String(video.id === desk.video?.id),
      ariaLabel: `${video.path}, ${video.status === "done" ? `${done} of ${counted(video.masks, "mask")} reviewed` : share}`,
      on: { click: () => open(index) },
    },
      make("span", { className: "video-name" },
        make("span", { className: "folder" }, video.path.slice(0, cut)),
        make("span", { className: "file" }, video.path.slice(cut))),
      barOf(video),
      make("span", { className: `video-share ${video.status}` }, share));
    row.setAttribute("aria-setsize", String(shown.length));
    row.setAttribute("aria-posinset", String(index + 1));
    row.style.top = `${index * ROW_PX}px`;
    row.classList.toggle("cursor", index === cursor);
    return row;
  }

  function render() {
    asked = false;
    inner.style.height = `${shown.length * ROW_PX}px`;
    const from = Math.max(0, Math.floor(list.scrollTop / ROW_PX) - SPARE_ROWS);
    const to = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW_PX) + SPARE_ROWS);
    const rows = [];
    for (let index = from; index < to; index++) rows.push(rowOf(shown[index], index));
    inner.replaceChildren(...rows);
    const at = shown[cursor];
    if (at && cursor >= from && cursor < to) list.setAttribute("aria-activedescendant", `video-${at.id}`);
    else list.removeAttribute("aria-activedescendant");
    const done = all.reduce((sum, video) => sum + reviewedOf(video), 0);
    const masks = all.reduce((sum, video) => sum + video.masks, 0);
    const count = shown.length === all.length ? `${counted(all.length, "video")}` : `${shown.length} of ${counted(all.length, "video")}`;
    setText(byId("video-count"), `${count}, ${masks ? Math.floor((100 * done) / masks) : 0}% reviewed`);
  }

  function ask() {
    if (asked) return;
    asked = true;
    requestAnimationFrame(render);
  }

  function refilter() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const at = shown[cursor];
    shown = all.filter((video) => words.every((word) => video.path.toLowerCase().includes(word)));
    cursor = Math.max(0, shown.indexOf(at));
    ask();
  }

  function reveal() {
    const top = cursor * ROW_PX;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + ROW_PX > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW_PX - list.clientHeight;
    ask();
  }

  function move(to) {
    cursor = clamp(to, 0, Math.max(0, shown.length - 1));
    reveal();
  }

  function open(index) {
    const video = shown[index];
    if (!video) return;
    move(index);
    if (video.status === "done") desk.openVideo(video.id);
    else warn(`${video.path} cannot be opened: it is ${STATUS[video.status] ?? video.status}${video.error ? `. ${video.error}` : "."}`, { kind: "open" });
  }

  async function load() {
    const answer = await getJson("/api/videos");
    const at = shown[cursor]?.id;
    all = answer.videos;
    refilter();
    const index = shown.findIndex((video) => video.id === at);
    if (index >= 0) cursor = index;
  }

  async function lookAgain() {
    if (document.hidden || all.every((video) => video.status === "done" || video.status === "failed")) return;
    await load().catch(() => {}); // The next look may do better; what the list shows stays.
  }

  // The open video's counts are known here first.
  function follow() {
    const row = all.find((video) => video.id === desk.video?.id);
    if (!row) return;
    row.reviewed = desk.video.counts();
    ask();
  }

  function leaveFilter() {
    if (!filter.value) return focusPicture();
    filter.value = "";
    refilter();
  }

  function takeMatch() {
    if (!shown.length) return void say("No video has that in its name.");
    if (shown.length > 1) return list.focus();
    open(0);
    focusPicture();
  }

  list.addEventListener("scroll", ask, { passive: true });
  list.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(list.clientHeight / ROW_PX) - 1);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -cursor, End: shown.length };
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key in moves) move(cursor + moves[event.key]);
    else if (event.key === "Enter") open(cursor);
    else return;
    event.preventDefault();
  });
  filter.addEventListener("input", refilter);
  filter.addEventListener("keydown", (event) => {
    if (event.key === "Escape") leaveFilter();
    else if (event.key === "ArrowDown") list.focus();
    else if (event.key === "Enter") takeMatch();
    else return;
    event.preventDefault();
  });
  new ResizeObserver(ask).observe(list);
  setInterval(lookAgain, LOOK_AGAIN_MS);
  for (const type of ["masks", "timeline"]) events.on(type, follow);
  events.on("video", () => {
    const index = shown.findIndex((video) => video.id === desk.video.id);
    if (index >= 0) move(index);
    follow();
  });

  return {
    load,
    /** @returns {Map<number, string>} */
    paths: () => new Map(all.map((video) => [video.id, video.path])),
    first: () => all.find((video) => video.status === "done")?.id ?? null,
    has: (id) => all.some((video) => video.id === id && video.status === "done"),
    focusFilter: () => filter.focus(),

    /** Open the next video of the filtered list that is done. @param {1|-1} way */
    step(way) {
      const at = shown.findIndex((video) => video.id === desk.video?.id);
      for (let index = at < 0 ? cursor : at + way; index >= 0 && index < shown.length; index += way) {
        if (shown[index].status === "done") return open(index);
      }
    },
  };
}
