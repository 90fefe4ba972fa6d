// Says whether all work has reached the server, and offers what can be done where it has not.

import { byId, counted, setText } from "./dom.js";

const UNAUTHORISED = 401;

/** @param {{outbox: any, events: any, announce: (text: string) => void}} parts */
export function createSaved({ outbox, events, announce }) {
  const text = byId("saved");
  let before = "Saved";

  function sentence({ unsent, elsewhere, looked, state, error, code, full }) {
    const kept = full ? " The browser's storage is full: leave this page open." : "";
    if (!looked) return "Connecting…";
    if (!unsent) return elsewhere ? `Another tab holds ${counted(elsewhere, "unsent edit")}. Look there, or close it.` : "Saved";
    if (state === "waiting" && !code) return `Not saved: ${unsent} unsent, trying again. Is carvid serve running?${kept}`;
    if (state === "waiting") return `Not saved: ${error} ${unsent} unsent, trying again.${kept}`;
    if (state === "refused" && code === UNAUTHORISED) return `Not saved: ${unsent} unsent. Open the address that carvid serve printed.${kept}`;
    if (state === "refused") return `Not saved: ${error}${kept}`;
    if (state === "conflict") return "Not saved: changed elsewhere";
    return `Saving…${kept}`;
  }

  function tell() {
    const status = outbox.status();
    const words = sentence(status);
    const { unsent, elsewhere, looked, error } = status;
    document.documentElement.dataset.saved = looked && !unsent && !elsewhere ? "yes" : "no";
    text.dataset.state = unsent ? status.state : !looked ? "idle" : elsewhere ? "waiting" : "saved";
    setText(text, words);
    text.title = error && unsent ? `${words}\n${error}` : words;
    byId("retry").hidden = status.state !== "waiting" && status.state !== "refused";
    byId("discard").hidden = status.state !== "refused" || status.code === UNAUTHORISED;
    // "Saving" between two saved states is not worth a word.
    const told = (sentence) => /^(Not|Another)/.test(sentence);
    if (words !== before && (told(words) || told(before))) announce(words);
    if (told(words) || words === "Saved") before = words;
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
