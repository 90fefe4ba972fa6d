// What the page remembers between visits: one JSON object in localStorage.

const KEY = "carvid.desk.settings";
const DEFAULTS = {
  theme: "auto",
  opacity: 0.45,
  brush: 12,
  goOn: true,
  onion: false,
  labels: true,
  keys: {},
};

function read() {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "{}");
  } catch {
    return {}; // Blocked storage or a value somebody else wrote: the page works with the defaults.
  }
}

const settings = { ...DEFAULTS, ...read() };

/** @param {keyof typeof DEFAULTS} name */
export const setting = (name) => settings[name];

/** @param {keyof typeof DEFAULTS} name @param {any} value */
export function keepSetting(name, value) {
  settings[name] = value;
  try {
    localStorage.setItem(KEY, JSON.stringify(settings));
  } catch {
    // Full or blocked storage costs only the memory of a preference.
  }
}
