// The tools on the picture: which one is on, and pointer and keyboard input brought to it.

import { byId, clamp } from "./dom.js";

const WHEEL_FACTOR = 1.0015;
const MARGIN_PX = 24;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * @typedef {{down: Function, move: Function, up: Function, settle: Function, cancel: () => boolean, draw: Function,
 *   pending?: () => boolean, confirm?: (other: boolean) => void, undo?: () => void, deleteVertex?: () => void}} Tool
 */

/**
 * @param {{desk: any, view: any, events: any, tools: Record<string, Tool|null>, say: (text: string) => void,
 *   announce: (text: string) => void}} parts tools by name; null pans
 */
export function createTools({ desk, view, events, tools, say, announce }) {
  const stage = byId("stage");
  let name = "hand";
  let pointer = null;
  let panning = null;
  let pressed = false;
  let crosshair = null;
  let told = 0;

  const tool = () => tools[name];
  const pointOf = (event) => view.toPicture(view.onStage(event));

  function choose(next) {
    if (next === name) return;
    tool()?.settle();
    name = next;
    stage.dataset.tool = name;
    events.emit("tool", name);
    say(`Tool: ${name}.`);
    view.ask();
  }

  function onDown(event) {
    if (!desk.video) return;
    stage.focus({ preventScroll: true });
    if (event.button === 1 || (!tool() && event.button === 0)) {
      panning = { x: event.clientX, y: event.clientY };
      stage.dataset.panning = "yes";
    } else if (tool() && (event.button === 0 || event.button === 2)) {
      pressed = true;
      pointer = pointOf(event);
      tool().down(pointer, { second: event.button === 2, alt: event.altKey });
    } else return;
    event.preventDefault();
    stage.setPointerCapture(event.pointerId);
  }

  function onMove(event) {
    if (panning) {
      view.panBy(event.clientX - panning.x, event.clientY - panning.y);
      panning = { x: event.clientX, y: event.clientY };
      return;
    }
    if (!tool()) return;
    const coalesced = pressed ? event.getCoalescedEvents?.() ?? [] : [];
    for (const one of coalesced.length ? coalesced : [event]) {
      pointer = pointOf(one);
      tool().move(pointer);
    }
    view.ask();
  }

  function onUp() {
    panning = null;
    delete stage.dataset.panning;
    if (pressed) tool()?.up();
    pressed = false;
  }

  stage.addEventListener("pointerdown", onDown);
  stage.addEventListener("pointermove", onMove);
  stage.addEventListener("pointerup", onUp);
  stage.addEventListener("pointercancel", onUp);
  stage.addEventListener("pointerleave", () => {
    pointer = null;
    view.ask();
  });
  stage.addEventListener("contextmenu", (event) => event.preventDefault());
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 30 : 1;
    view.zoomAt(view.onStage(event), WHEEL_FACTOR ** (-event.deltaY * lines));
  }, { passive: false });

  function toggleCrosshair() {
    if (crosshair) return leaveCrosshair();
    if (!desk.video) return;
    const middle = view.toPicture({ x: stage.clientWidth / 2, y: stage.clientHeight / 2 });
    crosshair = {
      x: clamp(Math.floor(middle.x), 0, desk.video.width - 1) + 0.5,
      y: clamp(Math.floor(middle.y), 0, desk.video.height - 1) + 0.5,
    };
    stage.focus({ preventScroll: true });
    events.emit("crosshair", true);
    const how = tool() ? "Space draws" : "choose a tool to draw";
    say(`Keyboard pointer: arrow keys move it, Shift by ten, ${how}, Escape leaves.`);
    view.ask();
  }

  function leaveCrosshair() {
    if (pressed) tool()?.up();
    pressed = false;
    crosshair = null;
    events.emit("crosshair", false);
    say("Keyboard pointer off.");
    view.ask();
  }

  function moveCrosshair([dx, dy], far) {
    const step = far ? 10 : 1;
    crosshair = {
      x: clamp(crosshair.x + dx * step, 0.5, desk.video.width - 0.5),
      y: clamp(crosshair.y + dy * step, 0.5, desk.video.height - 0.5),
    };
    const { x, y } = view.toScreen(crosshair);
    view.panBy(
      clamp(x, MARGIN_PX, stage.clientWidth - MARGIN_PX) - x,
      clamp(y, MARGIN_PX, stage.clientHeight - MARGIN_PX) - y,
    );
    tool()?.move(crosshair);
    clearTimeout(told);
    told = setTimeout(() => crosshair && announce(`x ${Math.floor(crosshair.x)}, y ${Math.floor(crosshair.y)}`), 300);
    view.ask();
  }

  return {
    get name() {
      return name;
    },
    choose,
    has: (wanted) => wanted in tools,
    toggleCrosshair,

    /** @returns {boolean} whether the keyboard pointer took the key */
    onKeyDown(event) {
      if (!crosshair || !desk.video || event.ctrlKey || event.metaKey) return false;
      if (event.key in ARROWS && !event.altKey) moveCrosshair(ARROWS[event.key], event.shiftKey);
      else if (event.key === " ") {
        if (!event.repeat && tool()) {
          pressed = true;
          tool().down(crosshair, { second: false, alt: event.altKey || event.shiftKey });
        }
      } else return false;
      return true;
    },

    onKeyUp(event) {
      if (!crosshair || event.key !== " ") return;
      if (pressed) tool()?.up();
      pressed = false;
    },

    /** Finish what is being drawn, so that nothing of it is lost. */
    settle() {
      tool()?.settle();
      pressed = false;
    },

    pending: () => tool()?.pending?.() ?? false,
    confirm: (other) => tool().confirm(other),
    undo: () => tool().undo(),
    deleteVertex: () => tool()?.deleteVertex?.(),

    /** Drop what is being drawn. @returns {boolean} whether there was anything */
    drop() {
      if (!tool()?.cancel()) return false;
      pressed = false;
      return true;
    },

    /** @returns {boolean} whether the keyboard pointer was on */
    leavePointer() {
      if (!crosshair) return false;
      leaveCrosshair();
      return true;
    },

    draw(context, toScreen, scale) {
      tool()?.draw(context, toScreen, scale, crosshair ?? pointer);
      if (!crosshair) return;
      const { x, y } = toScreen(crosshair);
      for (const [colour, width] of [["#000", 3], ["#fff", 1]]) {
        context.beginPath();
        for (const [dx, dy] of Object.values(ARROWS)) {
          context.moveTo(x + dx * 4, y + dy * 4);
          context.lineTo(x + dx * 16, y + dy * 16);
        }
        context.strokeStyle = colour;
        context.lineWidth = width;
        context.stroke();
      }
    },
  };
}
