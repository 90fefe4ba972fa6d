// Numbers on the masks, so that objects are told apart without colour too.

import { colourOf } from "./colours.js";
import { setting } from "./settings.js";

const WIDTH = 17;
const HEIGHT = 16;

/**
 * @param {any} desk
 * @param {CanvasRenderingContext2D} context
 * @param {(point: {x: number, y: number}) => {x: number, y: number}} toScreen
 */
export function drawLabels(desk, context, toScreen) {
  const { video, painted } = desk;
  if (!setting("labels") || !video || painted === null) return;
  context.font = "600 11px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (const object of video.objects) {
    const box = object.shown ? video.mask(painted, object.id)?.box : null;
    if (!box) continue;
    const { x, y } = toScreen({ x: (box.x0 + box.x1) / 2, y: box.y0 });
    const top = Math.max(1, y - HEIGHT - 3);
    context.fillStyle = "#111518";
    context.fillRect(x - WIDTH / 2 - 1, top - 1, WIDTH + 2, HEIGHT + 2);
    context.fillStyle = colourOf(object.index).css;
    context.fillRect(x - WIDTH / 2, top, WIDTH, HEIGHT);
    context.fillStyle = "#111518";
    context.fillText(String(object.index + 1), x, top + HEIGHT / 2 + 0.5);
  }
}
