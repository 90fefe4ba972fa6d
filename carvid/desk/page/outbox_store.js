// Keeps unsent edits in localStorage, and finds those that a closed tab left behind.

const PREFIX = "carvid.desk.unsent.";
const LOCK = "carvid.desk.tab.";
const ADOPTING = "carvid.desk.adopting";
const SETTLE_MS = 500;
const tab = crypto.getRandomValues(new Uint32Array(3)).join("-");

/** A held lock tells other tabs that this one lives, so that none sends the other's edits a second time. */
function holdLock() {
  return new Promise((held) => {
    navigator.locks.request(LOCK + tab, () => {
      held();
      return new Promise(() => {});
    }).catch(held);
  });
}

/** @param {string} dataset @param {{id: string}} entry @returns {boolean} false where the browser's storage is full */
export function keepEntry(dataset, entry) {
  try {
    localStorage.setItem(PREFIX + entry.id, JSON.stringify({ dataset, tab, entry }));
    return true;
  } catch {
    return false;
  }
}

/** @param {{id: string}} entry */
export function dropEntry(entry) {
  try {
    localStorage.removeItem(PREFIX + entry.id);
  } catch {
    // Storage is blocked: nothing was kept there either.
  }
}

function readAll() {
  const found = [];
  try {
    for (let i = 0; i < localStorage.length; i++) {
      const key = localStorage.key(i);
      if (key.startsWith(PREFIX)) found.push(JSON.parse(localStorage.getItem(key)));
    }
  } catch {
    return []; // Storage is blocked, or holds what this page did not write.
  }
  return found;
}

/** @param {string} dataset @param {(kept: {tab: string}) => boolean} from whether to take what that tab left */
function takeOver(dataset, from) {
  const left = readAll().filter((kept) => kept.dataset === dataset && from(kept));
  left.forEach((kept) => keepEntry(dataset, kept.entry));
  return left.map((kept) => kept.entry).sort((a, b) => a.order - b.order);
}

/** @param {string} dataset @returns {Promise<any[]>} entries that no living tab holds, in the order they were made */
export async function adoptEntries(dataset) {
  if (!navigator.locks) return takeOver(dataset, () => true);
  await holdLock();
  return navigator.locks.request(ADOPTING, async () => {
    const { held } = await navigator.locks.query();
    const alive = new Set(held.map((lock) => lock.name));
    return takeOver(dataset, (kept) => !alive.has(LOCK + kept.tab));
  });
}

/**
 * Follow what other tabs hold unsent, and take it over from a tab when it is gone.
 * @param {string} dataset @param {(count: number) => void} told how many entries other tabs hold
 * @param {(entries: any[]) => void} adopt takes those of a tab that is gone
 */
export function followOthers(dataset, told, adopt) {
  const awaited = new Set();
  let timer = 0;

  function look() {
    const others = readAll().filter((kept) => kept.dataset === dataset && kept.tab !== tab);
    told(others.length);
    if (navigator.locks) for (const kept of others) awaitEnd(kept.tab);
  }

  // The lock is given when its tab is gone; under the other one nobody else takes the same entries.
  async function awaitEnd(other) {
    if (awaited.has(other)) return;
    awaited.add(other);
    const entries = await navigator.locks.request(LOCK + other, () =>
      navigator.locks.request(ADOPTING, () => takeOver(dataset, (kept) => kept.tab === other)));
    awaited.delete(other);
    if (entries.length) adopt(entries);
    look();
  }

  addEventListener("storage", (event) => {
    if (event.key !== null && !event.key.startsWith(PREFIX)) return;
    // What another tab sends within a moment is not worth a word.
    clearTimeout(timer);
    timer = setTimeout(look, SETTLE_MS);
  });
  look();
}
