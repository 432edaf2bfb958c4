// Texts of a row: drawing them, cutting long ones, and counting in them. JavaScript counts UTF-16 units, Python and the
// table count code points; both are offsets into the same text, and every function here says which it means.

import { button, h, plural } from "./dom.js";

export const LONG = 5000; // UTF-16 units; a longer text is shown cut
const SHOWN = 4000;

// Offsets of a text, both ways. Costs a pass over the text, and then a binary search each.
export class Offsets {
  constructor(text) {
    this.second = []; // the units that are the second half of a pair
    for (const { index } of text.matchAll(/[\u{10000}-\u{10ffff}]/gu)) this.second.push(index + 1);
  }

  // Units -> code points. Inside a pair: the code point behind it.
  toPoint(unit) {
    return unit - firstNot(this.second.length, (number) => this.second[number] < unit);
  }

  // Code points -> units.
  toUnit(point) {
    return point + firstNot(this.second.length, (number) => this.second[number] - 1 - number < point);
  }
}

function firstNot(length, holds) {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}

// Words as [start, end) in units: what the keyboard goes through. Emoji of several code points are one word.
export function words(text) {
  const found = [];
  for (const { segment, index } of new Intl.Segmenter(undefined, { granularity: "word" }).segment(text)) {
    if (segment.trim()) found.push({ start: index, end: index + segment.length });
  }
  return found;
}

// A range without blanks at its edges, and with whole characters as people see them: no accent without its letter.
// Units in, units out; null if nothing is left.
export function wholeCharacters(text, start, end) {
  while (start < end && !text[start].trim()) start += 1;
  while (end > start && !text[end - 1].trim()) end -= 1;
  if (start >= end) return null;
  const characters = new Intl.Segmenter(undefined, { granularity: "grapheme" }).segment(text);
  const last = characters.containing(end - 1);
  return { start: characters.containing(start).index, end: last.index + last.segment.length };
}

// As it is drawn: control characters, which are invisible or worse, as their pictures. As long as the text, in units.
export function drawn(text) {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, (c) =>
    c === "\r" ? " " : c === "\u007f" ? "\u2421" : String.fromCharCode(0x2400 + c.charCodeAt(0)));
}

// Where a text of this length is cut, in units; not inside a character.
export function cutAt(text) {
  if (text.length <= LONG) return text.length;
  return isSecondHalf(text, SHOWN) ? SHOWN + 1 : SHOWN;
}

// A text, cut if it is long, with a button that shows all of it. `draw` puts a text into the element.
export function textBox(text, { key, draw = plainly } = {}) {
  const box = h("div", { class: "text", dir: "auto" });
  if (text === null || text === undefined) {
    box.append(h("span", { class: "muted" }, "NULL"));
    return box;
  }
  if (text === "") {
    box.append(h("span", { class: "muted" }, "an empty text"));
    return box;
  }
  const cut = cutAt(text);
  draw(box, text.slice(0, cut));
  if (cut === text.length) return box;
  const all = button(`Show all ${plural(text.length, "character")}`, { key, class: "button small", "data-all": "" });
  const whole = h("div", {}, box, h("p", { class: "cut" }, "… ", all));
  all.addEventListener("click", () => {
    box.replaceChildren();
    draw(box, text);
    all.parentElement.remove();
    whole.closest("#texts")?.focus();
  });
  return whole;
}

export function plainly(box, text) {
  const parts = blocks(text);
  if (parts.length === 1) box.append(drawn(text));
  else box.append(...parts.map(({ start, end }) => h("div", { class: "block" }, drawn(text.slice(start, end)))));
}

// Parts of a text, in units, of which the browser lays out those that are seen: all of a megabyte may take minutes.
// They end at lines, or else at words. A text that is not long is one part.
export function blocks(text) {
  if (text.length <= LONG) return [{ start: 0, end: text.length }];
  const found = [];
  for (let start = 0; start < text.length; start = found.at(-1).end) found.push({ start, end: blockEnd(text, start) });
  return found;
}

function blockEnd(text, start) {
  const last = start + SHOWN;
  if (last >= text.length) return text.length;
  for (const mark of ["\n", " "]) {
    const at = text.lastIndexOf(mark, last);
    if (at > start + SHOWN / 2) return at + 1;
  }
  return isSecondHalf(text, last) ? last + 1 : last;
}

function isSecondHalf(text, unit) {
  const code = text.charCodeAt(unit);
  return code >= 0xdc00 && code < 0xe000;
}
