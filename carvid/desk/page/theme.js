// Dark, light, or as the system has it.

import { keepSetting, setting } from "./settings.js";

const ORDER = ["auto", "dark", "light"];
const NAMES = { auto: "as the system", dark: "dark", light: "light" };
const system = matchMedia("(prefers-color-scheme: dark)");

export function applyTheme() {
  const wanted = setting("theme");
  document.documentElement.dataset.theme = wanted === "auto" ? (system.matches ? "dark" : "light") : wanted;
}

/** @returns {string} the name of the theme that is on now */
export function nextTheme() {
  keepSetting("theme", ORDER[(ORDER.indexOf(setting("theme")) + 1) % ORDER.length]);
  applyTheme();
  return NAMES[setting("theme")];
}

system.addEventListener("change", applyTheme);
