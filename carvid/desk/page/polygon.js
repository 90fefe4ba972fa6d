// Polygon: vertices that are added, dragged, inserted and deleted, then filled into the mask or out of it.

import { colourOf } from "./colours.js";
import { copyMask, fillPolygon } from "./masks.js";

const GRAB_PX = 8;
const EDGE_PX = 6;

function toSegment(p, a, b) {
  const dx = b.x - a.x;
  const dy = b.y - a.y;
  const square = dx * dx + dy * dy;
  const along = square ? Math.min(1, Math.max(0, ((p.x - a.x) * dx + (p.y - a.y) * dy) / square)) : 0;
  return Math.hypot(p.x - a.x - along * dx, p.y - a.y - along * dy);
}

/**
 * What of a polygon lies under a point.
 * @param {{x: number, y: number}[]} points @param {{x: number, y: number}} at @param {number} scale screen pixels per pixel
 * @returns {{vertex: number}|{edge: number}|null} edge i runs from vertex i to the next one
 */
export function hitPolygon(points, at, scale) {
  const vertex = points.findIndex((p) => Math.hypot(p.x - at.x, p.y - at.y) * scale <= GRAB_PX);
  if (vertex >= 0) return { vertex };
  if (points.length < 3) return null;
  const edge = points.findIndex((p, i) => toSegment(at, p, points[(i + 1) % points.length]) * scale <= EDGE_PX);
  return edge >= 0 ? { edge } : null;
}

/** @param {{desk: any, edits: any, target: Function, view: any, say: (text: string) => void}} parts */
export function createPolygon({ desk, edits, target, view, say }) {
  let points = [];
  let chosen = -1;
  let dragging = false;

  function remove(vertex) {
    points.splice(vertex, 1);
    chosen = Math.min(vertex, points.length - 1);
    view.ask();
  }

  function drop(words) {
    if (!points.length) return false;
    points = [];
    chosen = -1;
    view.ask();
    say(words);
    return true;
  }

  return {
    down(point, { second }) {
      const hit = hitPolygon(points, point, view.scale);
      if (second) {
        if (hit && "vertex" in hit) remove(hit.vertex);
        return;
      }
      if (!points.length && !target()) return;
      if (hit && "vertex" in hit) chosen = hit.vertex;
      else {
        chosen = hit ? hit.edge + 1 : points.length;
        points.splice(chosen, 0, { ...point });
      }
      dragging = true;
      view.ask();
    },
    move(point) {
      if (dragging) points[chosen] = { ...point };
      view.ask();
    },
    up() {
      dragging = false;
    },
    settle() {
      dragging = false;
      drop("Polygon dropped: it was not filled.");
    },
    pending: () => points.length > 0,
    confirm(subtract) {
      if (points.length < 3) {
        say(`A polygon needs three vertices, this one has ${points.length}.`);
        return;
      }
      const found = target();
      if (!found) return;
      const mask = copyMask(found.mask);
      fillPolygon(mask, points, subtract ? 0 : 1);
      const label = subtract ? "polygon subtracted" : "polygon added";
      points = [];
      chosen = -1;
      const changed = edits.replace(label, found.frame, found.object.id, mask);
      say(changed ? `${label.charAt(0).toUpperCase()}${label.slice(1)}.` : "The polygon changes nothing.");
      view.ask();
    },
    cancel: () => drop("Polygon cancelled."),
    /** Take the last vertex back. */
    undo: () => remove(points.length - 1),
    deleteVertex() {
      if (chosen >= 0) remove(chosen);
    },
    draw(context, toScreen, scale, pointer) {
      if (!points.length) return;
      const on = points.map(toScreen);
      const path = new Path2D();
      on.forEach(({ x, y }, i) => (i ? path.lineTo(x, y) : path.moveTo(x, y)));
      if (points.length > 2) path.closePath();
      else if (pointer && !dragging) path.lineTo(toScreen(pointer).x, toScreen(pointer).y);
      context.fillStyle = `${colourOf(desk.object?.index ?? 0).css}33`;
      if (points.length > 2) context.fill(path);
      for (const [colour, width] of [["#000", 3], ["#fff", 1.25]]) {
        context.strokeStyle = colour;
        context.lineWidth = width;
        context.stroke(path);
      }
      on.forEach(({ x, y }, i) => {
        context.beginPath();
        context.arc(x, y, i === chosen ? 5.5 : 4, 0, 2 * Math.PI);
        context.fillStyle = i === chosen ? "#ffd84d" : "#fff";
        context.fill();
        context.lineWidth = 1.5;
        context.strokeStyle = "#000";
        context.stroke();
      });
    },
  };
}
