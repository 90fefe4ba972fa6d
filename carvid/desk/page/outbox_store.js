// Keeps unsent edits in localStorage, and finds those that a closed tab left behind.

const PREFIX = "carvid.desk.unsent.";
const LOCK = "carvid.desk.tab.";
const ADOPTING = "carvid.desk.adopting";
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

function takeOver(dataset, alive) {
  const left = readAll().filter((kept) => kept.dataset === dataset && !alive.has(LOCK + kept.tab));
  left.forEach((kept) => keepEntry(dataset, kept.entry));
  return left.map((kept) => kept.entry).sort((a, b) => a.order - b.order);
}

/** @param {string} dataset @returns {Promise<any[]>} entries that no living tab holds, in the order they were made */
export async function adoptEntries(dataset) {
  if (!navigator.locks) return takeOver(dataset, new Set());
  await holdLock();
  return navigator.locks.request(ADOPTING, async () => {
    const { held } = await navigator.locks.query();
    return takeOver(dataset, new Set(held.map((lock) => lock.name)));
  });
}
