// Says whether all work has reached the server, and offers what can be done where it has not.

import { byId, setText } from "./dom.js";

/** @param {{outbox: any, events: any, announce: (text: string) => void}} parts */
export function createSaved({ outbox, events, announce }) {
  const text = byId("saved");
  let before = "Saved";

  function sentence({ unsent, state, error, full }) {
    const kept = full ? " The browser's storage is full: leave this page open until it is saved." : "";
    if (!unsent) return "Saved";
    if (state === "waiting") return `Not saved: ${error} ${unsent} unsent, trying again.${kept}`;
    if (state === "refused") return `Not saved: ${error}${kept}`;
    if (state === "conflict") return "Not saved: changed elsewhere";
    return `Saving…${kept}`;
  }

  function tell() {
    const status = outbox.status();
    const words = sentence(status);
    document.documentElement.dataset.saved = status.unsent ? "no" : "yes";
    text.dataset.state = status.unsent ? status.state : "saved";
    setText(text, words);
    text.title = words;
    byId("retry").hidden = status.state !== "waiting" && status.state !== "refused";
    byId("discard").hidden = status.state !== "refused";
    // "Saving" between two saved states is not worth a word.
    if (words !== before && (words.startsWith("Not") || before.startsWith("Not"))) announce(words);
    if (!words.startsWith("Saving")) before = words;
  }

  addEventListener("beforeunload", (event) => {
    if (outbox.status().unsent) event.preventDefault();
  });
  addEventListener("online", () => outbox.retry());
  byId("discard").addEventListener("click", () => byId("discard-dialog").showModal());
  byId("discard-yes").addEventListener("click", () => {
    byId("discard-dialog").close();
    outbox.discard();
  });
  events.on("outbox", tell);
  tell();
}
