// Draws masks into the pixels of an ImageData by typed-array loops. Pure.

/** @typedef {import("./rle.js").Mask} Mask @typedef {import("./rle.js").Box} Box */

/**
 * @typedef {{red: number, green: number, blue: number, hatch?: boolean}} Colour
 * @typedef {{mask: Mask, colour: Colour, opacity: number, edge: boolean, fill: boolean, dashed?: number}} Layer
 *   opacity of the fill in [0, 1]; dashed: 0 or absent for a whole outline, else 1 or 2, two dash patterns
 */

const OPAQUE = 255;

/** A pixel of an ImageData as one 32-bit number (little endian, as on every machine a browser runs on). */
const pixel = ({ red, green, blue }, alpha) => ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;

function clip(box, rect) {
  return {
    x0: Math.max(box.x0, rect.x0),
    y0: Math.max(box.y0, rect.y0),
    x1: Math.min(box.x1, rect.x1),
    y1: Math.min(box.y1, rect.y1),
  };
}

// Around the outline, so that a mask is seen on what has its own colour.
const HALO = 0xb0000000;

/** Darken what lies beside the mask, as far as the outline is thick. */
function drawHalo(pixels, { bits, width, height, box }, rect, reach) {
  const wide = { x0: box.x0 - reach, y0: box.y0 - reach, x1: box.x1 + reach, y1: box.y1 + reach };
  const { x0, y0, x1, y1 } = clip(wide, { ...rect, x1: Math.min(rect.x1, width), y1: Math.min(rect.y1, height) });
  const down = reach * width;
  for (let y = y0; y < y1; y++) {
    const above = y >= reach;
    const below = y < height - reach;
    for (let x = x0, p = y * width + x0; x < x1; x++, p++) {
      if (bits[p]) continue;
      const beside =
        (x >= reach && bits[p - reach]) || (x < width - reach && bits[p + reach]) || (above && bits[p - down]) || (below && bits[p + down]) ||
        (reach > 1 && ((x && bits[p - 1]) || (x < width - 1 && bits[p + 1]) || (y && bits[p - width]) || (y < height - 1 && bits[p + width])));
      if (beside) pixels[p] = HALO;
    }
  }
}

/**
 * @param {Uint32Array} pixels of the whole picture, row by row
 * @param {Layer} layer
 * @param {Box} rect the part to draw
 * @param {number} reach thickness of the outline in pixels of the picture
 */
function drawLayer(pixels, { mask, colour, opacity, edge, fill, dashed = 0 }, rect, reach) {
  if (!mask.box) return;
  const { bits, width, height } = mask;
  const { x0, y0, x1, y1 } = clip(mask.box, rect);
  const inner = pixel(colour, Math.round(opacity * OPAQUE));
  const faint = pixel(colour, Math.round(opacity * OPAQUE * 0.35));
  const line = pixel(colour, OPAQUE);
  const down = reach * width;
  for (let y = y0; y < y1; y++) {
    const rim = y < reach || y >= height - reach;
    for (let x = x0, p = y * width + x0; x < x1; x++, p++) {
      if (!bits[p]) continue;
      if (edge) {
        const outer =
          rim || x < reach || x >= width - reach ||
          !(bits[p - 1] & bits[p + 1] & bits[p - width] & bits[p + width]) ||
          (reach > 1 && !(bits[p - reach] & bits[p + reach] & bits[p - down] & bits[p + down]));
        if (outer && (!dashed || (((x + y) >> 2) & 1) === dashed - 1)) {
          pixels[p] = line;
          continue;
        }
      }
      if (fill) pixels[p] = colour.hatch && ((x + y) >> 2) & 1 ? faint : inner;
    }
  }
}

/**
 * Draw layers over each other, the last on top.
 * @param {Uint32Array} pixels @param {number} width @param {Layer[]} layers @param {Box} rect @param {number} reach
 */
export function drawLayers(pixels, width, layers, rect, reach) {
  for (let y = rect.y0; y < rect.y1; y++) pixels.fill(0, y * width + rect.x0, y * width + rect.x1);
  for (const layer of layers) {
    if (layer.edge && layer.fill && layer.mask.box) drawHalo(pixels, layer.mask, rect, reach);
    drawLayer(pixels, layer, rect, reach);
  }
}
