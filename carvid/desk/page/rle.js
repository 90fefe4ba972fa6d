// COCO compressed run-length codes to masks and back. Pure.

/**
 * @typedef {{size: [number, number], counts: string}} Rle size is [height, width]; runs go down the columns
 * @typedef {{x0: number, y0: number, x1: number, y1: number}} Box in pixels, x1 and y1 exclusive
 * @typedef {{width: number, height: number, bits: Uint8Array, box: Box|null}} Mask bits: one 0 or 1 per pixel,
 *   row by row; box: the pixels that are set lie within, null where none is
 */

const FIRST_CHARACTER = 48;
const MORE = 0x20;
const SIGN = 0x10;

/** @param {string} counts @returns {number[]} lengths of the runs, background first */
export function runsOf(counts) {
  const runs = [];
  let at = 0;
  while (at < counts.length) {
    let value = 0;
    let shift = 0;
    let group;
    do {
      if (at >= counts.length) throw new Error("a run-length code ends within a run");
      group = counts.charCodeAt(at++) - FIRST_CHARACTER;
      value |= (group & 0x1f) << shift;
      shift += 5;
    } while (group & MORE);
    if (group & SIGN && shift < 32) value |= -1 << shift;
    if (runs.length > 2) value += runs[runs.length - 2];
    runs.push(value);
  }
  return runs;
}

/** @param {ArrayLike<number>} runs @returns {string} */
export function countsOf(runs) {
  const characters = [];
  for (let i = 0; i < runs.length; i++) {
    let value = i > 2 ? runs[i] - runs[i - 2] : runs[i];
    for (;;) {
      const group = value & 0x1f;
      value >>= 5;
      const done = group & SIGN ? value === -1 : value === 0;
      characters.push(String.fromCharCode((done ? group : group | MORE) + FIRST_CHARACTER));
      if (done) break;
    }
  }
  return characters.join("");
}

/** @param {Rle} rle @returns {Mask} */
export function decode(rle) {
  const [height, width] = rle.size;
  const bits = new Uint8Array(height * width);
  const runs = runsOf(rle.counts);
  let at = 0;
  let x0 = width, y0 = height, x1 = 0, y1 = 0;
  for (let i = 0; i < runs.length; i++) {
    const end = at + runs[i];
    if (end > bits.length || end < at) throw new Error(`runs of a mask do not fit ${width} x ${height} pixels`);
    if (i & 1) {
      let column = Math.floor(at / height);
      let row = at - column * height;
      let left = runs[i];
      if (left && column < x0) x0 = column;
      while (left > 0) {
        const length = Math.min(left, height - row);
        if (row < y0) y0 = row;
        if (row + length > y1) y1 = row + length;
        for (let p = row * width + column, stop = p + length * width; p < stop; p += width) bits[p] = 1;
        left -= length;
        row = 0;
        column += 1;
        if (column > x1) x1 = column;
      }
    }
    at = end;
  }
  if (at !== bits.length) throw new Error(`runs of a mask cover ${at} of ${bits.length} pixels`);
  return { width, height, bits, box: x1 ? { x0, y0, x1, y1 } : null };
}

/** @param {Mask} mask its box must hold every pixel that is set @returns {Rle} */
export function encode(mask) {
  const { width, height, bits, box } = mask;
  const runs = [];
  let value = 0;
  let length = 0;
  if (box) {
    length = box.x0 * height;
    for (let x = box.x0; x < box.x1; x++) {
      for (let y = 0, p = x; y < height; y++, p += width) {
        if (bits[p] !== value) {
          runs.push(length);
          length = 0;
          value ^= 1;
        }
        length += 1;
      }
    }
  }
  const tail = (width - (box ? box.x1 : 0)) * height;
  if (value && tail) {
    runs.push(length);
    length = 0;
  }
  runs.push(length + tail);
  return { size: [height, width], counts: countsOf(runs) };
}

/** @param {Rle|null} a @param {Rle|null} b */
export const sameRle = (a, b) => a === b || (!!a && !!b && a.counts === b.counts && a.size[0] === b.size[0]);
