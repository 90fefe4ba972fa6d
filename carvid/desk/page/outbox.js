// Autosave: sends edits and verdicts in order, one in flight per video, until each is acknowledged.

import { ApiError, postJson } from "./api.js";
import { maskKey } from "./history.js";
import { dropEntry, keepEntry } from "./outbox_store.js";
import { sameRle } from "./rle.js";

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30000;
const ANSWER_WITHIN_MS = 120000;

/**
 * @typedef {{frame: number, object: number, revision: number, rle: import("./rle.js").Rle|null,
 *   shown?: import("./rle.js").Rle|null}} Correction rle null: the model's own mask; shown: what that is, where known
 * @typedef {{id: string, order: number, video: number, path: string, labelling: number, made: string, label: string,
 *   changes?: Correction[], verdict?: string|null, masks?: {frame: number, object: number, revision: number}[],
 *   object?: number, first?: number, last?: number, adopted?: boolean}} Entry adopted: a closed page made it; corrections have changes, verdicts have verdict
 * @typedef {{entries: Entry[], state: "idle"|"sending"|"waiting"|"refused"|"conflict", error: string, code: number, attempt: number,
 *   timer: number}} Lane
 */

const masksOf = (entry) => entry.changes ?? entry.masks ?? [];

/**
 * @param {{dataset: string, events: any,
 *   choose: (entry: Entry, conflicts: any[], mine: (mask: any) => Correction) => Promise<"theirs"|"mine"|"rest">}} context
 */
export function createOutbox({ dataset, events, choose }) {
  /** @type {Map<number, Lane>} */
  const lanes = new Map();
  let order = Date.now();
  let full = false;
  let elsewhere = 0;
  let looked = false;

  function laneOf(video) {
    if (!lanes.has(video)) lanes.set(video, { entries: [], state: "idle", error: "", code: 0, attempt: 0, timer: 0 });
    return lanes.get(video);
  }

  function changed() {
    events.emit("outbox");
  }

  function keep(entry) {
    full = !keepEntry(dataset, entry);
  }

  function remove(lane, entry) {
    lane.entries = lane.entries.filter((other) => other !== entry);
    dropEntry(entry);
  }

  // The revisions that later entries of the same masks are to be sent with.
  function passOn(lane, revisions) {
    for (const entry of lane.entries) {
      let touched = false;
      for (const mask of masksOf(entry)) {
        const revision = revisions.get(maskKey(mask));
        if (revision === undefined || mask.revision === revision) continue;
        mask.revision = revision;
        touched = true;
      }
      if (touched) keep(entry);
    }
  }

  function acknowledge(lane, entry, changes) {
    const revisions = new Map((changes ?? []).map((change) => [maskKey(change), change.revision]));
    remove(lane, entry);
    passOn(lane, revisions);
    events.emit("sent", { entry, revisions });
  }

  // An answer that was lost on its way makes the second sending stale against what the first one wrote.
  function writtenBefore(entry, conflicts) {
    if (conflicts.length !== entry.changes.length) return false;
    const current = new Map(conflicts.map((conflict) => [maskKey(placeOf(conflict)), conflict.current]));
    return entry.changes.every((change) => {
      const there = current.get(maskKey(change));
      if (there?.revision !== change.revision + 1) return false;
      return change.rle ? there.source === "hand" && sameRle(there.rle, change.rle) : there.source === "model";
    });
  }

  const placeOf = (conflict) => ({ frame: conflict.frame, object: conflict.current.object });

  function latestOf(lane, mask) {
    const key = maskKey(mask);
    for (const entry of lane.entries.toReversed()) {
      const change = entry.changes?.find((other) => maskKey(other) === key);
      if (change) return change;
    }
    return undefined;
  }

  // Take an entry out, and with it what later entries say about the same masks.
  function dropWithFollowers(lane, entry) {
    remove(lane, entry);
    dropMasks(lane, masksOf(entry));
  }

  // Take out what any entry says about these masks.
  function dropMasks(lane, masks) {
    const keys = new Set(masks.map(maskKey));
    for (const other of [...lane.entries]) {
      const list = masksOf(other);
      const left = list.filter((mask) => !keys.has(maskKey(mask)));
      if (left.length === list.length) continue;
      if (other.changes) other.changes = left;
      else other.masks = left;
      if (left.length) keep(other);
      else remove(lane, other);
    }
  }

  async function settleConflict(lane, entry, conflicts, labelling) {
    await settleMasks(lane, entry, conflicts);
    if (labelling === undefined) return;
    // The video was labelled anew: what was drawn on the earlier masks goes on only where that was chosen.
    for (const other of lane.entries) {
      other.labelling = labelling;
      keep(other);
    }
    events.emit("relabelled", entry.video);
  }

  async function settleMasks(lane, entry, conflicts) {
    if (!entry.changes) {
      remove(lane, entry);
      events.emit("stale-verdict", { entry, conflicts });
      return;
    }
    if (!conflicts.length) {
      dropWithFollowers(lane, entry);
      events.emit("dropped", { entry, conflicts });
      return;
    }
    if (writtenBefore(entry, conflicts)) {
      acknowledge(lane, entry, conflicts.map((c) => ({ ...placeOf(c), revision: c.current.revision })));
      return;
    }
    lane.state = "conflict";
    changed();
    const choice = await choose(entry, conflicts, (mask) => latestOf(lane, mask));
    if (choice === "mine") {
      const revisions = new Map(conflicts.map((c) => [maskKey(placeOf(c)), c.current.revision]));
      passOn(lane, revisions);
      events.emit("overwriting", { entry, conflicts });
    } else if (choice === "rest") {
      const masks = conflicts.map(placeOf);
      dropMasks(lane, masks);
      events.emit("dropped", { entry, conflicts, masks });
    } else {
      dropWithFollowers(lane, entry);
      events.emit("dropped", { entry, conflicts });
    }
  }

  function bodyOf(entry) {
    const { labelling, changes, verdict, masks, object, first, last } = entry;
    if (changes) {
      return { labelling, changes: changes.map(({ frame, object, revision, rle }) => ({ frame, object, revision, rle })) };
    }
    return masks ? { labelling, verdict, masks } : { labelling, verdict, object, first, last };
  }

  async function post(entry) {
    const path = `/api/videos/${entry.video}/${entry.changes ? "corrections" : "verdicts"}`;
    try {
      return await postJson(path, bodyOf(entry), AbortSignal.timeout(ANSWER_WITHIN_MS));
    } catch (error) {
      throw error instanceof ApiError ? error : new ApiError(0, "The server took too long to answer.");
    }
  }

  async function pump(lane) {
    if (lane.state !== "idle" || !lane.entries.length) return;
    const entry = lane.entries[0];
    lane.state = "sending";
    changed();
    try {
      const answer = await post(entry);
      lane.attempt = 0;
      acknowledge(lane, entry, answer.changes);
    } catch (error) {
      const { conflicts, labelling } = error.body ?? {};
      if (error.status === 409 && conflicts) await settleConflict(lane, entry, conflicts, labelling);
      else return fail(lane, error);
    }
    lane.state = "idle";
    changed();
    pump(lane);
  }

  function fail(lane, error) {
    lane.error = error.message;
    lane.code = error.status;
    lane.state = error.passing ? "waiting" : "refused";
    if (error.passing) {
      const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** lane.attempt++);
      lane.timer = setTimeout(() => resume(lane), wait);
    }
    changed();
  }

  function resume(lane) {
    if (lane.state !== "waiting" && lane.state !== "refused") return;
    clearTimeout(lane.timer);
    lane.state = "idle";
    pump(lane);
  }

  return {
    /** @param {Omit<Entry, "id"|"order"|"made">} entry @returns {Entry} as it is kept */
    add(entry) {
      const number = ++order;
      const whole = { ...entry, id: `${number}-${Math.random().toString(36).slice(2)}`, order: number, made: new Date().toISOString() };
      const lane = laneOf(entry.video);
      lane.entries.push(whole);
      keep(whole);
      changed();
      pump(lane);
      return whole;
    },

    /**
     * Take up what a closed page left unsent; `start` sends it. @param {Entry[]} entries
     * @param {Map<number, string>} paths of the videos by id
     */
    restore(entries, paths) {
      looked = true;
      for (const entry of entries) {
        const lane = laneOf(entry.video);
        entry.adopted = true;
        lane.entries.push(entry);
        order = Math.max(order, entry.order);
        if (paths.get(entry.video) !== entry.path) {
          lane.state = "refused";
          lane.error = `edits are left of video ${entry.video} "${entry.path}", which this dataset does not hold under that number`;
        }
      }
      if (entries.length) events.emit("adopted", entries);
      changed();
    },

    start() {
      for (const lane of lanes.values()) pump(lane);
    },

    /** @param {number} count of unsent edits that other tabs hold */
    heldElsewhere(count) {
      elsewhere = count;
      changed();
    },

    /** The latest unsent change of a mask. @returns {Correction|undefined} */
    pending: (video, mask) => lanes.has(video) ? latestOf(lanes.get(video), mask) : undefined,

    /** Unsent corrections of a video, oldest first. @returns {Correction[]} */
    pendingOf: (video) => (lanes.get(video)?.entries ?? []).flatMap((entry) => entry.changes ?? []),

    /** @returns {Promise<boolean>} true when all of the video is saved, false where it cannot be now */
    settled(video) {
      return new Promise((resolve) => {
        const look = () => {
          const lane = laneOf(video);
          if (!lane.entries.length) resolve(true);
          else if (lane.state === "waiting" || lane.state === "refused") resolve(false);
          else return false;
          return true;
        };
        if (look()) return;
        const off = events.on("outbox", () => {
          if (look()) off();
        });
      });
    },

    retry() {
      for (const lane of lanes.values()) resume(lane);
    },

    /** Give up the edit that the server refuses. */
    discard() {
      for (const lane of lanes.values()) {
        if (lane.state !== "refused") continue;
        const entry = lane.entries[0];
        dropWithFollowers(lane, entry);
        lane.state = "idle";
        events.emit("dropped", { entry, conflicts: [] });
        pump(lane);
      }
      changed();
    },

    /**
     * @returns {{unsent: number, elsewhere: number, looked: boolean, state: string, error: string, code: number, full: boolean}}
     *   the worst state of all videos; looked: whether the edits that closed pages left are known; code: HTTP status
     */
    status() {
      const all = [...lanes.values()].filter((lane) => lane.entries.length);
      const worst = ["refused", "conflict", "waiting", "sending"].map((s) => all.find((lane) => lane.state === s)).find(Boolean);
      return {
        unsent: all.reduce((sum, lane) => sum + lane.entries.length, 0),
        elsewhere,
        looked,
        state: worst?.state ?? "idle",
        error: worst?.error ?? "",
        code: worst?.code ?? 0,
        full: full && all.length > 0,
      };
    },
  };
}
