// Colours of objects: the Okabe-Ito set, told apart by colour-blind people too; from the ninth object on hatched as well.

const PALETTE = ["#e69f00", "#56b4e9", "#cc79a7", "#f0e442", "#009e73", "#d55e00", "#4f8fd6", "#f2f2f2"];

/** @param {number} index of the object in its video @returns {{css: string, red: number, green: number, blue: number, hatch: boolean}} */
export function colourOf(index) {
  const css = PALETTE[index % PALETTE.length];
  const part = (at) => parseInt(css.slice(at, at + 2), 16);
  return { css, red: part(1), green: part(3), blue: part(5), hatch: index >= PALETTE.length };
}

/** Colours of review states, the same in the scrub bar, lists and legend. */
export const REVIEW_COLOURS = { a: "#2bb58a", r: "#e8703a", s: "#9aa4af", c: "#5aa9f0" };
