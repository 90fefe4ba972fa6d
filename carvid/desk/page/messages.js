// The message bar for what went wrong, and the polite live region for what happened.

import { byId, make, setText } from "./dom.js";

const MOST = 4;

export function createMessages() {
  const bar = byId("messages");
  const region = byId("announce");
  const toast = byId("toast");
  let hide = 0;

  return {
    /** Show a sentence until it is dismissed. @param {string} text @returns {() => void} what takes it away again */
    warn(text) {
      const sentence = text.charAt(0).toUpperCase() + text.slice(1);
      for (const row of [...bar.children]) if (row.firstChild.textContent === sentence) row.remove();
      const row = make("div", { className: "message" }, make("span", {}, sentence));
      const close = () => row.remove();
      row.append(make("button", { type: "button", ariaLabel: "Dismiss this message", on: { click: close } }, "Dismiss"));
      bar.append(row);
      if (bar.children.length > MOST) bar.firstChild.remove();
      return close;
    },

    /** Say what happened, to eyes for some seconds and to screen readers. @param {string} text */
    say(text) {
      setText(region, text);
      setText(toast, text);
      toast.hidden = false;
      clearTimeout(hide);
      hide = setTimeout(() => (toast.hidden = true), 4000);
    },

    /** Tell screen readers only. @param {string} text */
    announce: (text) => setText(region, text),
  };
}
