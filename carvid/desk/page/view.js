// The picture: two canvases, zoom and pan, and the pixels of the masks on top.

import { clamp } from "./dom.js";
import { joinBoxes } from "./masks.js";
import { drawLayers } from "./overlay.js";

const SMALLEST_SCALE = 0.05;
const LARGEST_SCALE = 40;
const CRISP_FROM = 2;

/**
 * @param {{stage: HTMLElement, frameCanvas: HTMLCanvasElement, maskCanvas: HTMLCanvasElement,
 *   drawTools: (context: CanvasRenderingContext2D, toScreen: (point: {x: number, y: number}) => {x: number, y: number},
 *   scale: number) => void}} parts
 */
export function createView({ stage, frameCanvas, maskCanvas, drawTools }) {
  const below = frameCanvas.getContext("2d", { alpha: false });
  const above = maskCanvas.getContext("2d");
  const sheet = new OffscreenCanvas(1, 1);
  const sheetContext = sheet.getContext("2d");
  let image = new ImageData(1, 1);
  let pixels = new Uint32Array(image.data.buffer);
  let layers = [];
  let bitmap = null;
  let size = { width: 1, height: 1 };
  let scale = 1;
  let left = 0;
  let top = 0;
  let fitted = true;
  let reach = 1;
  let dirty = null;
  let frameStale = true;
  let asked = false;
  let painted = null;

  const whole = () => ({ x0: 0, y0: 0, x1: size.width, y1: size.height });
  const toScreen = ({ x, y }) => ({ x: left + x * scale, y: top + y * scale });

  function ask() {
    if (asked) return;
    asked = true;
    requestAnimationFrame(paint);
  }

  function paint() {
    asked = false;
    const wanted = Math.max(1, Math.round(1 / scale));
    if (wanted !== reach) {
      reach = wanted;
      dirty = whole();
    }
    if (dirty) {
      drawLayers(pixels, size.width, layers, dirty, reach);
      sheetContext.putImageData(image, 0, 0, dirty.x0, dirty.y0, dirty.x1 - dirty.x0, dirty.y1 - dirty.y0);
      dirty = null;
    }
    const ratio = devicePixelRatio;
    if (frameStale) {
      frameStale = false;
      below.setTransform(1, 0, 0, 1, 0, 0);
      below.fillStyle = "#16191d";
      below.fillRect(0, 0, frameCanvas.width, frameCanvas.height);
      if (bitmap) place(below, ratio, bitmap);
    }
    above.setTransform(1, 0, 0, 1, 0, 0);
    above.clearRect(0, 0, maskCanvas.width, maskCanvas.height);
    place(above, ratio, sheet);
    above.setTransform(ratio, 0, 0, ratio, 0, 0);
    drawTools(above, toScreen, scale);
    if (painted) {
      const done = painted;
      painted = null;
      done();
    }
  }

  function place(context, ratio, source) {
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.imageSmoothingEnabled = scale < CRISP_FROM;
    context.drawImage(source, left, top, size.width * scale, size.height * scale);
  }

  function moved() {
    frameStale = true;
    ask();
  }

  function fit() {
    const { clientWidth: width, clientHeight: height } = stage;
    if (!width || !height) return;
    scale = Math.min(width / size.width, height / size.height);
    left = (width - size.width * scale) / 2;
    top = (height - size.height * scale) / 2;
    fitted = true;
    moved();
  }

  function zoomAt(point, factor) {
    const next = clamp(scale * factor, SMALLEST_SCALE, LARGEST_SCALE);
    left = point.x - ((point.x - left) * next) / scale;
    top = point.y - ((point.y - top) * next) / scale;
    scale = next;
    fitted = false;
    moved();
  }

  const middle = () => ({ x: stage.clientWidth / 2, y: stage.clientHeight / 2 });

  new ResizeObserver(() => {
    for (const canvas of [frameCanvas, maskCanvas]) {
      canvas.width = Math.max(1, Math.round(stage.clientWidth * devicePixelRatio));
      canvas.height = Math.max(1, Math.round(stage.clientHeight * devicePixelRatio));
    }
    if (fitted) fit();
    moved();
  }).observe(stage);

  return {
    ask,
    fit,
    zoomAt,
    get scale() {
      return scale;
    },
    zoom: (factor) => zoomAt(middle(), factor),
    oneToOne: () => zoomAt(middle(), 1 / (scale * devicePixelRatio)),

    panBy(x, y) {
      left += x;
      top += y;
      fitted = false;
      moved();
    },

    /** Make room for pictures of that size, in pixels, and fit them. */
    setSize(width, height) {
      size = { width, height };
      sheet.width = width;
      sheet.height = height;
      image = new ImageData(width, height);
      pixels = new Uint32Array(image.data.buffer);
      layers = [];
      bitmap = null;
      dirty = whole();
      fit();
    },

    /**
     * Show a picture and the masks over it; done is called when both are on the canvases.
     * @param {ImageBitmap|null} picture @param {import("./overlay.js").Layer[]} over @param {() => void} done
     */
    show(picture, over, done) {
      bitmap = picture;
      layers = over;
      dirty = whole();
      frameStale = true;
      painted = done;
      ask();
    },

    /** Draw other masks over the same picture. @param {import("./overlay.js").Box|null} [part] only there they differ */
    setLayers(over, part = whole()) {
      layers = over;
      if (part) {
        const joined = joinBoxes(dirty, part);
        dirty = {
          x0: Math.max(0, joined.x0 - reach),
          y0: Math.max(0, joined.y0 - reach),
          x1: Math.min(size.width, joined.x1 + reach),
          y1: Math.min(size.height, joined.y1 + reach),
        };
      }
      ask();
    },

    /** @param {{clientX: number, clientY: number}} event */
    onStage(event) {
      const box = stage.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    },

    /** @param {{x: number, y: number}} point on the stage, in CSS pixels @returns {{x: number, y: number}} in the picture */
    toPicture: (point) => ({ x: (point.x - left) / scale, y: (point.y - top) / scale }),
    toScreen,
  };
}
