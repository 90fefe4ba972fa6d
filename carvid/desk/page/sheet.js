// The dialog that lists all shortcuts, and changes them.

import { byId, make, setText } from "./dom.js";
import { COMMANDS, GROUPS, chordOf, written } from "./keys.js";

/** @param {ReturnType<typeof import("./shortcuts.js").createShortcuts>} shortcuts @param {() => void} onChange */
export function createSheet(shortcuts, onChange) {
  const dialog = byId("keys-dialog");
  const told = byId("keys-told");
  let waiting = null;
  let asked = null;

  function keysCell(command) {
    const keys = shortcuts.keysOf(command);
    const cell = make("td", { className: "keys-cell" });
    for (const chord of keys) cell.append(make("kbd", {}, written(chord)));
    if (!keys.length) cell.append("none");
    return cell;
  }

  function row(command) {
    const change = make("button", {
      type: "button",
      className: "quiet",
      ariaLabel: `Change the key of: ${command.label}`,
      data: { command: command.id },
      on: { click: () => wait(command) },
    }, waiting === command ? "Press a key…" : "Change");
    return make("tr", {}, make("th", { scope: "row" }, command.label), keysCell(command), make("td", {}, change));
  }

  function fill() {
    const groups = Object.entries(GROUPS).map(([group, title]) =>
      make("table", { className: "keys-table" }, make("caption", {}, title),
        make("tbody", {}, ...COMMANDS.filter((command) => command.group === group).map(row))));
    byId("keys-groups").replaceChildren(...groups);
  }

  function wait(command) {
    waiting = command;
    asked = null;
    fill();
    dialog.querySelector(`[data-command="${command.id}"]`).focus();
    setText(told, `Press the new key of "${command.label}". Escape leaves it as it is.`);
  }

  function stop(text) {
    const command = waiting;
    waiting = null;
    fill();
    dialog.querySelector(`[data-command="${command.id}"]`).focus();
    setText(told, text);
  }

  dialog.addEventListener("keydown", (event) => {
    if (!waiting) return;
    const chord = chordOf(event);
    if (!chord) return;
    event.preventDefault();
    event.stopPropagation();
    if (chord === "Escape") return stop("The key stays as it was.");
    const holder = shortcuts.holder(chord);
    if (holder && holder !== waiting && asked !== chord) {
      asked = chord;
      setText(told, `${written(chord)} is the key of "${holder.label}". Press it again to take it from there, or another key.`);
      return;
    }
    const { label } = waiting;
    shortcuts.give(waiting, chord);
    onChange();
    stop(`"${label}" has the key ${written(chord)} now.`);
  });
  dialog.addEventListener("cancel", (event) => waiting && event.preventDefault());
  dialog.addEventListener("close", () => (waiting = null));
  byId("keys-reset").addEventListener("click", () => {
    shortcuts.reset();
    onChange();
    fill();
    setText(told, "All keys are the defaults again.");
  });

  return {
    open() {
      fill();
      setText(told, "");
      dialog.showModal();
    },
  };
}
