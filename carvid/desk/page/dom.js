// Small helpers to find and make elements.

/** @param {string} id @returns {any} the element of index.html with that id */
export const byId = (id) => document.getElementById(id);

/**
 * Make an element. Properties that exist on the element are set, others become attributes; `on` holds listeners.
 * @param {string} tag
 * @param {Record<string, any>} [properties]
 * @param {...(Node|string)} children
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "on") for (const [type, listener] of Object.entries(value)) element.addEventListener(type, listener);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** @param {string} name of a symbol of index.html @returns {SVGElement} */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

/** Set text only where it differs, so that live regions do not speak twice. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {number} count @param {string} noun in the singular, of those that take an s @returns {string} "1 frame", "2 frames" */
export const counted = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
