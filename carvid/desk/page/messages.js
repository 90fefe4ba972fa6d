// The message bars for what went wrong, and the polite live region for what happened.

import { byId, make, setText } from "./dom.js";

const MOST = 3;
const SHOWN_MS = 4000;

// A file's name stays as it is written.
const sentenceOf = (text) => text.replace(/^[a-z]+(?=[ ,:;’'])/, (word) => word.charAt(0).toUpperCase() + word.slice(1));

export function createMessages() {
  const bar = byId("messages");
  const region = byId("announce");
  const toast = byId("toast");
  let hide = 0;
  let said = "";

  return {
    /**
     * Show a sentence until it is dismissed, or another video is opened.
     * @param {string} text
     * @param {{stays?: boolean, kind?: string}} [how] stays: over other videos too; kind: takes the place of the last one of it
     * @returns {() => void} what takes it away again
     */
    warn(text, { stays = false, kind = "" } = {}) {
      const sentence = sentenceOf(text);
      for (const row of [...bar.children]) {
        if (row.firstChild.textContent === sentence || (kind && row.dataset.kind === kind)) row.remove();
      }
      const row = make("div", { className: "message", data: { stays: stays ? "yes" : "no", kind } }, make("span", {}, sentence));
      const close = () => row.remove();
      row.append(make("button", { type: "button", ariaLabel: "Dismiss this message", on: { click: close } }, "Dismiss"));
      bar.append(row);
      if (bar.children.length > MOST) bar.firstChild.remove();
      return close;
    },

    /** Take away what was said of the video that is left. */
    leaveVideo() {
      for (const row of [...bar.children]) if (row.dataset.stays !== "yes") row.remove();
    },

    clear: () => bar.replaceChildren(),

    /**
     * Say what happened, to eyes for some seconds and to screen readers; what is said at once is said together.
     * @param {string} text @param {boolean} [lasting] until the next thing is said
     */
    say(text, lasting = false) {
      said = said && said !== text ? `${said} ${text}` : text;
      queueMicrotask(() => (said = ""));
      setText(region, said);
      setText(toast, said);
      toast.hidden = false;
      clearTimeout(hide);
      if (!lasting) hide = setTimeout(() => (toast.hidden = true), SHOWN_MS);
    },

    /** Tell screen readers only. @param {string} text */
    announce: (text) => setText(region, text),
  };
}
