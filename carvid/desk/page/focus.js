// Where the keyboard goes: after a press of the mouse, to the picture; whoever tabs to a control keeps it.

import { byId } from "./dom.js";
import { TYPED_IN } from "./shortcuts.js";

export const focusPicture = () => byId("stage").focus({ preventScroll: true });

export function keepFocusOnPicture() {
  let pressed = null;
  // Not on press: a slider that loses the focus while it is dragged stands still.
  const release = () => {
    const { target } = pressed ?? {};
    pressed = null;
    if (!(target instanceof Element) || target.closest("dialog") || document.querySelector("dialog[open]")) return;
    const field = target.closest("label")?.control ?? target;
    if (!field.matches(TYPED_IN)) focusPicture();
  };
  addEventListener("pointerdown", (event) => (pressed = event), true);
  for (const type of ["pointerup", "pointercancel"]) addEventListener(type, release, true);
  // Escape leaves a box or a list; what it cancels besides is up to the table of commands.
  byId("frame-number").addEventListener("keydown", (event) => event.key === "Escape" && focusPicture());
  byId("video-list").addEventListener("keydown", (event) => event.key === "Escape" && focusPicture());
}
