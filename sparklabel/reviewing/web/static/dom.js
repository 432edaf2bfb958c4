// Elements. In: names, attributes, texts. Out: elements in which texts are text nodes, never HTML.

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

export const find = (id) => document.getElementById(id);

// A key as it is drawn; `name` is what `keys.js` calls it.
export function keycap(name) {
  return h("kbd", {}, keyTitle(name));
}

const TITLES = {
  ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Enter: "Enter", Escape: "Esc", " ": "Space",
};

export function keyTitle(name) {
  const parts = name.length > 1 && name.includes("+") ? name.split("+") : [name];
  return parts.map((part) => TITLES[part] ?? part).join(" ");
}

// A button with its key in its accessible name.
export function button(label, { key, press, ...attributes } = {}) {
  return h(
    "button", { type: "button", class: "button", click: press, ...attributes },
    key ? keycap(key) : null, key ? " " : null, h("bdi", {}, label),
  );
}

// Of a button that a key or a script presses: who cannot see where the focus went, lost it.
export function focusUnlessInside(element) {
  if (!element.contains(document.activeElement)) element.focus({ preventScroll: true });
}

export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

export function percent(share) {
  return `${Math.round(share * 100)}%`;
}

// A column's or a field's name as a heading: "left_title" becomes "Left title".
export function title(name) {
  const words = name.replaceAll("_", " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}
