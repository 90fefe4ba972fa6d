// The two small dialogs that ask for a stretch of frames: accept a stretch, and ask the model again.

import { byId } from "./dom.js";

/** @param {{desk: any, edits: any, preview: any, askable: {theta: number}|null, events: any, say: (text: string) => void}} parts */
export function createForms({ desk, edits, preview, askable, events, say }) {
  const stretch = byId("stretch-dialog");
  const ask = byId("ask-dialog");

  function setRange(form, first, last) {
    const { frames } = desk.video;
    for (const [name, value] of [["first", first], ["last", last]]) {
      form.elements[name].min = String(frames[0]);
      form.elements[name].max = String(frames.at(-1));
      form.elements[name].value = String(value);
    }
  }

  function rangeOf(form) {
    const first = Number(form.elements.first.value);
    const last = Number(form.elements.last.value);
    form.elements.last.setCustomValidity(first > last ? "The last frame comes before the first one." : "");
    return form.reportValidity() ? { first, last } : null;
  }

  function tellLength() {
    const { value, maxLength } = byId("ask-query");
    byId("ask-length").hidden = value.length < maxLength;
    byId("ask-length").textContent = `A phrase has at most ${maxLength} characters: no more are taken.`;
  }
  byId("ask-query").addEventListener("input", tellLength);

  const frozen = (object) => object.locked && (say(`Object ${object.index + 1} is locked.`), true);

  for (const form of [byId("stretch-form"), byId("ask-form")]) {
    form.addEventListener("input", () => form.elements.last.setCustomValidity(""));
  }

  byId("stretch-all").addEventListener("click", () => setRange(byId("stretch-form"), desk.video.frames[0], desk.video.frames.at(-1)));
  byId("stretch-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const range = rangeOf(event.target);
    if (!range) return;
    stretch.close();
    const what = `frames ${range.first} to ${range.last} of ${desk.object.query}`;
    edits.judgeStretch("accepted", desk.objectId, range.first, range.last, () => `Accepted: ${what}.`);
    say(`Accepting ${what}…`);
  });

  byId("ask-stretch").addEventListener("click", () => setRange(byId("ask-form"), desk.frame, desk.video.frames.at(-1)));
  byId("ask-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const range = rangeOf(event.target);
    if (!range) return;
    const { query, theta } = event.target.elements;
    ask.close();
    preview.ask(query.value.trim(), theta.value === "" ? null : Number(theta.value), range.first, range.last);
  });

  return {
    openStretch() {
      if (!desk.object) return;
      if (desk.preview) return void say("Accept or cancel the preview first.");
      events.emit("leave");
      byId("stretch-object").textContent = desk.object.query;
      setRange(byId("stretch-form"), desk.frame, desk.video.frames.at(-1));
      stretch.showModal();
    },

    openAsk() {
      if (!askable) return void say("This server has no model to ask.");
      if (!desk.object || frozen(desk.object)) return;
      if (desk.preview) return void say("Accept or cancel the preview first.");
      events.emit("leave");
      const form = byId("ask-form");
      form.elements.query.value = desk.object.query;
      form.elements.theta.value = "";
      form.elements.theta.placeholder = `empty: ${askable.theta}, as the dataset's`;
      tellLength();
      setRange(form, desk.frame, desk.frame);
      ask.showModal();
    },
  };
}
