// The dialog for a mask that was changed elsewhere: both versions side by side, and the choice.

import { colourOf } from "./colours.js";
import { byId, setText } from "./dom.js";
import { drawLayers } from "./overlay.js";
import { decode } from "./rle.js";

const OUTLINE_AT_PX = 420;

function drawVersion(canvas, picture, rle, colour) {
  const [height, width] = rle.size;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  if (picture) context.drawImage(picture, 0, 0, width, height);
  const image = new ImageData(width, height);
  const layer = { mask: decode(rle), colour, opacity: 0.45, edge: true, fill: true };
  const rect = { x0: 0, y0: 0, x1: width, y1: height };
  drawLayers(new Uint32Array(image.data.buffer), width, [layer], rect, Math.max(1, Math.round(width / OUTLINE_AT_PX)));
  const sheet = new OffscreenCanvas(width, height);
  sheet.getContext("2d").putImageData(image, 0, 0);
  context.drawImage(sheet, 0, 0);
}

function blank(canvas) {
  canvas.width = canvas.height = 1;
}

const timeOf = (text) => new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** @param {{frames: any, known: (id: number) => any}} parts */
export function createConflict({ frames, known }) {
  const dialog = byId("conflict-dialog");
  let queue = Promise.resolve();

  async function fill(entry, conflicts, mine) {
    const { frame, current } = conflicts[0];
    const change = mine({ frame, object: current.object });
    const object = known(entry.video)?.object(current.object);
    const whose = object ? `"${object.query}"` : `object ${current.object}`;
    const others = entry.changes.length - 1;
    const splits = conflicts.length < entry.changes.length;
    const more = conflicts.length > 1 ? ` and ${conflicts.length - 1} more` : "";
    setText(
      byId("conflict-text"),
      `The mask of ${whose} was changed elsewhere since it was shown here: frame ${frame}${more} of ${entry.path}.` +
        (others ? ` Your edit (${entry.label}) covers ${others + 1} masks: ${splits ? "Keep theirs and Use mine hold" : "the choice holds"} for all of them.` : ""),
    );
    const from = current.source === "model" ? "the model's own" : "drawn by hand";
    setText(byId("conflict-theirs-when"), `${from}${current.created ? `, ${timeOf(current.created)}` : ""}`);
    const own = change?.rle ?? change?.shown;
    const kind = change && !change.rle ? "the model's own" : entry.label;
    setText(byId("conflict-mine-when"), `${kind}, ${timeOf(entry.made)}`);
    byId("conflict-rest").hidden = !splits;
    const picture = await frames.load(entry.video, frame, 0, true).catch(() => null); // Without it the masks are shown alone.
    const colour = colourOf(object?.index ?? 0);
    drawVersion(byId("conflict-theirs"), picture, current.rle, colour);
    if (own) drawVersion(byId("conflict-mine"), picture, own, colour);
    else blank(byId("conflict-mine"));
    byId("conflict-mine").setAttribute("aria-label", own ? "My version over the frame" : "My version: the model's own mask");
  }

  async function ask(entry, conflicts, mine) {
    await fill(entry, conflicts, mine);
    return new Promise((resolve) => {
      const choices = { "conflict-keep": "theirs", "conflict-rest": "rest", "conflict-use": "mine" };
      const choose = (event) => {
        for (const id of Object.keys(choices)) byId(id).removeEventListener("click", choose);
        dialog.close();
        resolve(choices[event.currentTarget.id]);
      };
      for (const id of Object.keys(choices)) byId(id).addEventListener("click", choose);
      for (const open of document.querySelectorAll("dialog[open]")) open.close();
      dialog.showModal();
    });
  }

  // Escape must not decide: one of the versions would go without a word.
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.addEventListener("keydown", (event) => event.key === "Escape" && event.preventDefault());

  /** @returns {Promise<"theirs"|"mine"|"rest">} conflicts of several videos are asked one after the other */
  return (entry, conflicts, mine) => {
    const answer = queue.then(() => ask(entry, conflicts, mine));
    queue = answer.catch(() => {}); // The outbox tells what went wrong; the next question is still asked.
    return answer;
  };
}
