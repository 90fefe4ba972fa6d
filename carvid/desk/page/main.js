// Puts the parts of the page together and opens the first video.

import { createActions } from "./actions.js";
import { createAnnouncer } from "./announcer.js";
import { getJson, takeAddress } from "./api.js";
import { createBrush } from "./brush.js";
import { createClick } from "./click.js";
import { createConflict } from "./conflict.js";
import { createControls } from "./controls.js";
import { createDecoded } from "./decoded.js";
import { createDesk, keptPlace } from "./desk.js";
import { wireDialogs } from "./dialogs.js";
import { byId, setText } from "./dom.js";
import { createEdits } from "./edits.js";
import { createEvents } from "./events.js";
import { keepFocusOnPicture } from "./focus.js";
import { createForms } from "./forms.js";
import { createFrames } from "./frames.js";
import { createJumps } from "./jumps.js";
import { drawLabels } from "./labels.js";
import { createMaskCommands } from "./mask_commands.js";
import { createMessages } from "./messages.js";
import { createObjects } from "./objects.js";
import { createOutbox } from "./outbox.js";
import { adoptEntries, followOthers } from "./outbox_store.js";
import { createPlayback } from "./playback.js";
import { createPolygon } from "./polygon.js";
import { createPreview } from "./preview.js";
import { createProgress } from "./progress.js";
import { createSaved } from "./saved.js";
import { createScheduler } from "./scheduler.js";
import { createSheet } from "./sheet.js";
import { createShortcuts } from "./shortcuts.js";
import { createTarget } from "./target.js";
import { applyTheme } from "./theme.js";
import { createTimeline } from "./timeline.js";
import { createTools } from "./tools.js";
import { createVideos } from "./videos.js";
import { createView } from "./view.js";

// With the current frame's two loads, an edit and a stream these stay near the six a browser holds open.
const LOADS_AT_ONCE = 3;
const TRY_AGAIN_MS = 2000;

/** What unsent edits are kept under, so that they reach no other dataset served at the same address. */
const identityOf = (dataset) => dataset.id ?? dataset.name;

/** Everything of the page, made for one dataset. @param {any} dataset the answer of /api/dataset @param {any} messages */
function build(dataset, messages) {
  const { say, warn, announce } = messages;
  const events = createEvents();
  let shown = null;
  events.on("video", () => {
    if (shown !== page.desk.video.id) messages.leaveVideo();
    shown = page.desk.video.id;
  });
  const scheduler = createScheduler(LOADS_AT_ONCE);
  const frames = createFrames(scheduler);
  const decoded = createDecoded();
  const page = { events, say, warn, announce, frames };

  page.outbox = createOutbox({
    dataset: identityOf(dataset),
    events,
    choose: createConflict({ frames, known: (id) => page.desk.known(id) }),
  });
  page.view = createView({
    stage: byId("stage"),
    frameCanvas: byId("frame-canvas"),
    maskCanvas: byId("mask-canvas"),
    drawTools(context, toScreen, scale) {
      drawLabels(page.desk, context, toScreen);
      page.tools.draw(context, toScreen, scale);
    },
  });
  page.desk = createDesk({ ...page, scheduler, decoded });
  page.edits = createEdits(page);
  page.target = createTarget(page);
  const tools = {
    hand: null,
    brush: createBrush({ ...page, value: 1 }),
    eraser: createBrush({ ...page, value: 0 }),
    polygon: createPolygon(page),
    ...(dataset.click ? { click: createClick(page) } : {}),
  };
  page.tools = createTools({ ...page, tools });
  page.maskCommands = createMaskCommands(page);
  page.preview = createPreview(page);
  page.playback = createPlayback(page);
  page.jumps = createJumps(page);
  page.videos = createVideos(page);
  page.objects = createObjects(page);
  page.forms = createForms({ ...page, askable: dataset.ask });
  page.progress = createProgress(page);
  createTimeline(page);
  createAnnouncer({ ...page, playing: () => page.playback.playing });
  createSaved(page);
  const actions = createActions(page);
  const shortcuts = createShortcuts(actions, page.tools);
  page.sheet = createSheet(shortcuts, () => page.controls.nameKeys());
  page.controls = createControls({ ...page, shortcuts });
  events.on("leave", () => page.tools.settle());
  events.on("leave-video", () => {
    page.tools.drop() || page.tools.leavePointer();
    page.preview.cancel();
  });
  return page;
}

/** Try until the server answers or says what cannot get better by waiting. @param {() => Promise<any>} load */
async function patiently(load, warn) {
  let close = () => {};
  for (;;) {
    try {
      const answer = await load();
      close();
      return answer;
    } catch (error) {
      if (!error.passing) throw error;
      close = warn(`${error.message} Trying again.`);
      await new Promise((resolve) => setTimeout(resolve, TRY_AGAIN_MS));
    }
  }
}

async function openFirst(page, address) {
  const kept = keptPlace();
  const place = address.video === null ? kept : address;
  const id = place && page.videos.has(place.video) ? place.video : page.videos.first();
  if (id === null) {
    setText(byId("empty"), "No video is done yet.");
    page.say("No video of this dataset is done yet.");
  } else await page.desk.openVideo(id, place?.video === id ? place : {});
}

/** A new address in this tab: the server was started again, and has another token. */
async function follow(page, messages, dataset) {
  if (!location.hash) return;
  const address = takeAddress();
  try {
    const now = await patiently(() => getJson("/api/dataset"), messages.warn);
    // Another dataset, or another model: nothing here holds. What is unsent is kept for the dataset it was made in.
    const differs = ["id", "name", "version", "ask", "click"].some((key) => JSON.stringify(now[key]) !== JSON.stringify(dataset[key]));
    if (differs) return void location.reload();
    messages.clear();
    page.outbox.retry();
    await patiently(page.videos.load, messages.warn);
    if (!page.desk.video || address.video !== null) await openFirst(page, address);
    if (!page.desk.video) return;
    page.desk.refresh();
    page.desk.reloadTimeline(page.desk.video);
  } catch (error) {
    messages.warn(error.message);
  }
}

async function start() {
  applyTheme();
  wireDialogs();
  keepFocusOnPicture();
  const messages = createMessages();
  // Until the page is put together, a new address is taken by starting anew.
  const again = () => location.hash && location.reload();
  addEventListener("hashchange", again);
  try {
    const address = takeAddress();
    const dataset = await patiently(() => getJson("/api/dataset"), messages.warn);
    setText(byId("dataset-name"), dataset.name);
    byId("ask-section").hidden = !dataset.ask;
    byId("tool-click").hidden = !dataset.click;
    const page = build(dataset, messages);
    await patiently(page.videos.load, messages.warn);
    removeEventListener("hashchange", again);
    addEventListener("hashchange", () => follow(page, messages, dataset));
    page.outbox.restore(await adoptEntries(identityOf(dataset)), page.videos.paths());
    followOthers(identityOf(dataset), page.outbox.heldElsewhere, (entries) => {
      page.outbox.restore(entries, page.videos.paths());
      page.outbox.start();
    });
    try {
      await openFirst(page, address);
    } finally {
      page.outbox.start();
    }
  } catch (error) {
    messages.warn(error.message);
  }
}

start();
