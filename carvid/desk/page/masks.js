// Changes of masks: strokes, polygons, holes, parts. Pure; each changes the mask it is given.

/** @typedef {import("./rle.js").Mask} Mask @typedef {import("./rle.js").Box} Box */

/** @param {Mask} mask @returns {Mask} */
export const copyMask = (mask) => ({ ...mask, bits: mask.bits.slice(), box: mask.box && { ...mask.box } });

/** @param {number} width @param {number} height @returns {Mask} */
export const blankMask = (width, height) => ({ width, height, bits: new Uint8Array(width * height), box: null });

/** @param {Box|null} a @param {Box|null} b @returns {Box|null} the smallest box that holds both */
export function joinBoxes(a, b) {
  if (!a || !b) return a ?? b;
  return {
    x0: Math.min(a.x0, b.x0),
    y0: Math.min(a.y0, b.y0),
    x1: Math.max(a.x1, b.x1),
    y1: Math.max(a.y1, b.y1),
  };
}

/** @param {Mask} mask @returns {number} pixels that are set */
export function areaOf(mask) {
  let area = 0;
  for (let i = 0; i < mask.bits.length; i++) area += mask.bits[i];
  return area;
}

function within(mask, x0, y0, x1, y1) {
  const box = {
    x0: Math.max(0, Math.floor(x0)),
    y0: Math.max(0, Math.floor(y0)),
    x1: Math.min(mask.width, Math.ceil(x1)),
    y1: Math.min(mask.height, Math.ceil(y1)),
  };
  return box.x0 < box.x1 && box.y0 < box.y1 ? box : null;
}

/**
 * A round brush drawn from a to b: every pixel whose centre is within radius of that line, and the pixels under a and b.
 * @param {Mask} mask
 * @param {{x: number, y: number}} a in pixels, (0, 0) the corner of the picture
 * @param {{x: number, y: number}} b
 * @param {number} radius in pixels
 * @param {0|1} value 1 paints, 0 erases
 * @returns {Box|null} what was touched
 */
export function drawStroke(mask, a, b, radius, value) {
  const reach = Math.max(radius, 1);
  const box = within(
    mask,
    Math.min(a.x, b.x) - reach,
    Math.min(a.y, b.y) - reach,
    Math.max(a.x, b.x) + reach + 1,
    Math.max(a.y, b.y) + reach + 1,
  );
  if (!box) return null;
  const { bits, width } = mask;
  const dx = b.x - a.x;
  const dy = b.y - a.y;
  const square = dx * dx + dy * dy;
  const limit = radius * radius;
  for (let y = box.y0; y < box.y1; y++) {
    const py = y + 0.5 - a.y;
    for (let x = box.x0; x < box.x1; x++) {
      const px = x + 0.5 - a.x;
      const along = square ? Math.min(1, Math.max(0, (px * dx + py * dy) / square)) : 0;
      const ex = px - along * dx;
      const ey = py - along * dy;
      if (ex * ex + ey * ey <= limit) bits[y * width + x] = value;
    }
  }
  for (const point of [a, b]) {
    const x = Math.floor(point.x);
    const y = Math.floor(point.y);
    if (x >= 0 && y >= 0 && x < width && y < mask.height) bits[y * width + x] = value;
  }
  if (value) mask.box = joinBoxes(mask.box, box);
  return box;
}

/**
 * Fill a polygon by the even-odd rule: pixels whose centre lies inside.
 * @param {Mask} mask
 * @param {{x: number, y: number}[]} points at least three, in pixels
 * @param {0|1} value
 * @returns {Box|null} what was touched
 */
export function fillPolygon(mask, points, value) {
  const xs = points.map((point) => point.x);
  const ys = points.map((point) => point.y);
  const box = within(mask, Math.min(...xs), Math.min(...ys), Math.max(...xs) + 1, Math.max(...ys) + 1);
  if (!box) return null;
  for (let y = box.y0; y < box.y1; y++) {
    const centre = y + 0.5;
    const crossings = [];
    for (let i = 0, j = points.length - 1; i < points.length; j = i++) {
      const p = points[j];
      const q = points[i];
      if (p.y <= centre !== q.y <= centre) crossings.push(p.x + ((centre - p.y) / (q.y - p.y)) * (q.x - p.x));
    }
    crossings.sort((a, b) => a - b);
    for (let k = 0; k + 1 < crossings.length; k += 2) {
      const from = Math.max(box.x0, Math.ceil(crossings[k] - 0.5));
      const to = Math.min(box.x1, Math.ceil(crossings[k + 1] - 0.5));
      if (from < to) mask.bits.fill(value, y * mask.width + from, y * mask.width + to);
    }
  }
  if (value) mask.box = joinBoxes(mask.box, box);
  return box;
}

/** Set every pixel of the other mask. @param {Mask} mask @param {Mask} other */
export function addMask(mask, other) {
  for (let i = 0; i < other.bits.length; i++) mask.bits[i] |= other.bits[i];
  mask.box = joinBoxes(mask.box, other.box);
}

// The parts of equal value within a box, as labels 1, 2, ... and the pixels of each; others have label 0.
function partsOf(mask, box, value, diagonal) {
  const width = box.x1 - box.x0;
  const height = box.y1 - box.y0;
  const labels = new Int32Array(width * height);
  const stack = new Int32Array(width * height);
  const sizes = [0];
  const bit = (p) => mask.bits[(box.y0 + Math.floor(p / width)) * mask.width + box.x0 + (p % width)];
  const near = [[-1, 0], [1, 0], [0, -1], [0, 1]];
  if (diagonal) near.push([-1, -1], [1, -1], [-1, 1], [1, 1]);
  for (let start = 0; start < labels.length; start++) {
    if (labels[start] || bit(start) !== value) continue;
    const label = sizes.length;
    let top = 0;
    let size = 0;
    labels[start] = label;
    stack[top++] = start;
    while (top) {
      const p = stack[--top];
      const x = p % width;
      const y = (p - x) / width;
      size += 1;
      for (const [dx, dy] of near) {
        const qx = x + dx;
        const qy = y + dy;
        if (qx < 0 || qy < 0 || qx >= width || qy >= height) continue;
        const q = qy * width + qx;
        if (labels[q] || bit(q) !== value) continue;
        labels[q] = label;
        stack[top++] = q;
      }
    }
    sizes.push(size);
  }
  return { labels, sizes, width, height };
}

/** Set the background pixels from which no way leads out of the mask. @param {Mask} mask */
export function fillHoles(mask) {
  const box = mask.box;
  if (!box) return;
  const { labels, width, height } = partsOf(mask, box, 0, false);
  const outside = new Set([0]);
  for (let x = 0; x < width; x++) outside.add(labels[x]).add(labels[(height - 1) * width + x]);
  for (let y = 0; y < height; y++) outside.add(labels[y * width]).add(labels[y * width + width - 1]);
  labels.forEach((label, p) => {
    if (!outside.has(label)) mask.bits[(box.y0 + Math.floor(p / width)) * mask.width + box.x0 + (p % width)] = 1;
  });
}

/** Clear all but the largest part (pixels that touch by side or corner are one part). @param {Mask} mask */
export function keepLargest(mask) {
  const box = mask.box;
  if (!box) return;
  const { labels, sizes, width } = partsOf(mask, box, 1, true);
  const largest = sizes.indexOf(Math.max(...sizes));
  labels.forEach((label, p) => {
    if (label && label !== largest) {
      mask.bits[(box.y0 + Math.floor(p / width)) * mask.width + box.x0 + (p % width)] = 0;
    }
  });
}
