// The scrub bar: a row per object with score, presence, review and suspicion, and a cursor to drag.

import { REVIEWS, binTrack, positionAt } from "./bins.js";
import { REVIEW_COLOURS, colourOf } from "./colours.js";
import { byId } from "./dom.js";

const ROW = 30;
const SUSPICION = 5;
const REVIEW = 6;
const NUMBER = 17;
const SUSPICIOUS_FROM = 0.1; // The total is a mean of several signs, so it is seldom high.

/** @param {{desk: any, events: any}} parts */
export function createTimeline({ desk, events }) {
  const canvas = byId("timeline");
  const holder = byId("timeline-scroll");
  const range = byId("scrub");
  const context = canvas.getContext("2d");
  const rows = new OffscreenCanvas(1, 1);
  const rowsContext = rows.getContext("2d");
  let width = 1;
  let stale = true;
  let asked = false;
  let dragging = false;

  function drawRow(track, object, top) {
    const bins = binTrack(track, Math.min(width, track.present.length));
    const columns = bins.present.length;
    const edge = (column) => Math.round((column * width) / columns);
    const { css } = colourOf(object.index);
    const plotTop = top + SUSPICION + 1;
    const plot = ROW - SUSPICION - REVIEW - 4;
    rowsContext.fillStyle = object.id === desk.objectId ? "#2c333c" : "#20262d";
    rowsContext.fillRect(0, top, width, ROW - 1);
    for (let column = 0; column < columns; column++) {
      const x = edge(column);
      const wide = Math.max(1, edge(column + 1) - x);
      if (bins.suspicion[column] >= SUSPICIOUS_FROM) {
        rowsContext.globalAlpha = Math.min(1, 0.3 + 1.8 * bins.suspicion[column]);
        rowsContext.fillStyle = "#ffcf4a";
        rowsContext.fillRect(x, top, wide, SUSPICION);
      }
      if (bins.present[column]) {
        const height = bins.score[column] === bins.score[column] ? Math.max(1.5, bins.lowest[column] * plot) : plot;
        const mean = bins.score[column] === bins.score[column] ? Math.max(1.5, bins.score[column] * plot) : plot;
        rowsContext.fillStyle = css;
        rowsContext.globalAlpha = 0.3 + 0.25 * bins.present[column];
        rowsContext.fillRect(x, plotTop + plot - mean, wide, mean);
        rowsContext.globalAlpha = 0.6 + 0.4 * bins.present[column];
        rowsContext.fillRect(x, plotTop + plot - height, wide, Math.min(height, 2));
      }
      const review = REVIEWS[bins.review[column]];
      if (review !== ".") {
        rowsContext.globalAlpha = 0.45 + 0.55 * bins.reviewed[column];
        rowsContext.fillStyle = REVIEW_COLOURS[review];
        const tall = review === "r" || review === "c" ? REVIEW : REVIEW - 3;
        rowsContext.fillRect(x, top + ROW - 2 - tall, wide, tall);
      }
    }
    rowsContext.globalAlpha = 1;
    drawPreview(object, top);
  }

  function drawNumber(object, top) {
    context.font = "600 11px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.textAlign = "center";
    context.fillStyle = "#000c";
    context.fillRect(0, top + 7, NUMBER, 15);
    context.fillStyle = colourOf(object.index).css;
    context.fillText(String(object.index + 1), NUMBER / 2, top + 15);
  }

  function drawPreview(object, top) {
    if (desk.preview?.object !== object.id) return;
    const { frames } = desk.video;
    rowsContext.fillStyle = "#ffffff";
    for (const frame of desk.preview.masks.keys()) {
      const x = (desk.video.positionOf(frame) * width) / frames.length;
      rowsContext.globalAlpha = 0.28;
      rowsContext.fillRect(x, top, Math.max(1, width / frames.length), ROW - 1);
    }
    rowsContext.globalAlpha = 1;
  }

  function layOut() {
    const { video } = desk;
    const ratio = devicePixelRatio;
    width = Math.max(1, holder.clientWidth);
    const height = Math.max(1, video.objects.length) * ROW;
    for (const one of [canvas, rows]) {
      one.width = Math.round(width * ratio);
      one.height = Math.round(height * ratio);
    }
    canvas.style.height = `${height}px`;
    rowsContext.setTransform(ratio, 0, 0, ratio, 0, 0);
    video.objects.forEach((object, i) => {
      const track = video.tracks.get(object.id);
      if (track) drawRow(track, object, i * ROW);
    });
  }

  function paint() {
    asked = false;
    const { video, position } = desk;
    if (!video) return;
    if (stale) {
      stale = false;
      layOut();
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.drawImage(rows, 0, 0);
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    const cell = width / video.frames.length;
    const x = position * cell;
    context.fillStyle = "#ffffff";
    context.globalAlpha = 0.22;
    if (desk.last) context.fillRect(x, 0, cell, canvas.height);
    context.globalAlpha = 1;
    if (desk.last) context.fillRect(Math.round(x + cell / 2) - 1, 0, 2, canvas.height);
    // Over the cursor, which at the first frames would hide them.
    video.objects.forEach((object, i) => drawNumber(object, i * ROW));
  }

  function ask(fresh) {
    stale ||= fresh;
    if (asked) return;
    asked = true;
    requestAnimationFrame(paint);
  }

  function follow() {
    const { video, position } = desk;
    if (!video) return;
    range.max = String(desk.last);
    range.value = String(position);
    const all = `of ${video.frames[0]} to ${video.frames.at(-1)}`;
    range.setAttribute("aria-valuetext", `frame ${desk.frame} ${all}, ${video.secondsAt(position).toFixed(2)} seconds`);
    ask(false);
  }

  function go(event) {
    const box = canvas.getBoundingClientRect();
    desk.goTo(positionAt(event.clientX - box.left, box.width, desk.last + 1));
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (!desk.video || event.button) return;
    dragging = true;
    canvas.setPointerCapture(event.pointerId);
    const row = Math.floor((event.clientY - canvas.getBoundingClientRect().top) / ROW);
    desk.selectObject(desk.video.objects[row]?.id);
    go(event);
  });
  canvas.addEventListener("pointermove", (event) => dragging && go(event));
  for (const type of ["pointerup", "pointercancel"]) canvas.addEventListener(type, () => (dragging = false));
  range.addEventListener("input", () => desk.goTo(Number(range.value)));
  new ResizeObserver(() => ask(true)).observe(holder);

  // The row of the chosen object stays in sight.
  function reveal() {
    const top = (desk.object?.index ?? 0) * ROW;
    if (top < holder.scrollTop) holder.scrollTop = top;
    else if (top + ROW > holder.scrollTop + holder.clientHeight) holder.scrollTop = top + ROW - holder.clientHeight;
  }

  for (const type of ["video", "timeline", "masks", "preview", "object"]) events.on(type, () => ask(true));
  events.on("object", () => requestAnimationFrame(reveal));
  for (const type of ["video", "position"]) events.on(type, follow);
}
