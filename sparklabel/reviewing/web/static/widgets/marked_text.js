// A text in which parts are marked, and in which people select with mouse and keyboard. In: a text, its marks as
// [start, end) in UTF-16 units. Out: the selection, in units, of whole characters and without blanks at its edges.
// The text in the document is exactly as long as the given one, so that counting in it counts in the row's text.

import { h } from "../dom.js";
import { blocks, drawn, wholeCharacters, words } from "../texts.js";

export class MarkedText {
  // selected: () => void, after the selection changed. picked: (number) => void, when a mark has got the focus.
  // isClickable: whether a click selects the word under it.
  constructor({ selected, picked = () => {}, isClickable = true }) {
    this.selected = selected;
    this.isClickable = isClickable;
    this.picked = picked;
    this.range = null; // what is selected: {start, end}
    this.marks = []; // {start, end, class, label}
    document.addEventListener("mouseup", (event) => this.#mouseUp(event));
  }

  // Takes the place of another row's text. `draw` of a text box.
  show(box, text) {
    if (this.box !== box) this.range = null;
    this.box = box;
    this.text = text;
    this.words = null;
    this.paint();
  }

  paint() {
    this.box.replaceChildren(...this.#pieces());
  }

  focus(number) {
    const mark = this.box.querySelector(`[data-number="${number}"]`);
    (mark ?? this.box.closest("#texts"))?.focus({ preventScroll: true });
  }

  select(range) {
    this.range = range;
    this.paint();
    this.box.querySelector(".pending")?.scrollIntoView({ block: "nearest" });
    this.selected();
  }

  // Selects the next word (1) or the one before (-1), counted from `from` or else from the selection.
  step(direction, from = this.range) {
    const found = this.#words();
    const number = from === null ? (direction > 0 ? 0 : found.length - 1)
      : direction > 0 ? found.findIndex(({ start }) => start >= from.end)
      : found.findLastIndex(({ end }) => end <= from.start);
    if (found[number]) this.select(found[number]);
  }

  // `range` with an edge moved by a word; it keeps at least a word.
  moved(range, edge, direction) {
    const found = this.#words();
    if (edge === "end") {
      const word = direction > 0 ? found.find(({ end }) => end > range.end)
        : found.findLast(({ end }) => end < range.end && end > range.start);
      return word ? { ...range, end: word.end } : range;
    }
    const word = direction < 0 ? found.findLast(({ start }) => start < range.start)
      : found.find(({ start }) => start > range.start && start < range.end);
    return word ? { ...range, start: word.start } : range;
  }

  #words() {
    this.words ??= words(this.text);
    return this.words;
  }

  // Between two neighboring edges everything is marked alike: by the shortest mark that covers it.
  #pieces() {
    const parts = blocks(this.text);
    const edges = this.#edges(parts);
    if (parts.length === 1) return this.#between(edges);
    return parts.map(({ start, end }) =>
      h("div", { class: "block" }, ...this.#between(edges.filter((edge) => start <= edge && edge <= end))));
  }

  #edges(parts) {
    const ranges = [...parts, ...this.marks, ...(this.range ? [this.range] : [])];
    const inside = ranges.flatMap(({ start, end }) => [start, end]).filter((edge) => edge <= this.text.length);
    return [...new Set(inside)].sort((one, other) => one - other);
  }

  #between(edges) {
    const pieces = [];
    let last = { number: -1, element: null };
    for (let i = 0; i + 1 < edges.length; i++) {
      const [start, end] = [edges[i], edges[i + 1]];
      const text = drawn(this.text.slice(start, end));
      const isPending = this.range !== null && this.range.start <= start && end <= this.range.end;
      const content = isPending ? h("span", { class: "pending" }, text) : text;
      const number = this.#shortest(start, end);
      if (number === -1) pieces.push(content);
      else if (number === last.number) last.element.append(content);
      else pieces.push(last.element = this.#mark(number, content));
      last = { number, element: number === -1 ? null : last.element };
    }
    return pieces;
  }

  #shortest(start, end) {
    let best = -1;
    this.marks.forEach((mark, number) => {
      if (mark.start > start || mark.end < end) return;
      const length = mark.end - mark.start;
      if (best === -1 || length < this.marks[best].end - this.marks[best].start) best = number;
    });
    return best;
  }

  #mark(number, content) {
    const { class: name, label, isStill } = this.marks[number];
    const attributes = isStill ? {} : {
      tabindex: "0", role: "button", "aria-label": label, "data-number": number, focus: () => this.picked(number),
    };
    return h("mark", { class: name, "data-label": isStill ? null : label?.split(": ")[0], ...attributes }, content);
  }

  #mouseUp(event) {
    if (!this.box?.isConnected) return;
    const selection = getSelection();
    if (selection.rangeCount === 0) return;
    const range = selection.getRangeAt(0);
    if (selection.isCollapsed) {
      if (this.isClickable && this.box.contains(event.target) && !event.target.closest("mark")) this.#clicked(range);
      return;
    }
    if (!range.intersectsNode(this.box) || event.target.closest?.("dialog, input, textarea, button")) return;
    const [start, end] = this.#units(range);
    const whole = wholeCharacters(this.text, start, end);
    selection.removeAllRanges();
    if (whole) this.select(whole);
  }

  #clicked(range) {
    if (!this.box.contains(range.startContainer)) return;
    const [at] = this.#units(range);
    const word = this.#words().find(({ start, end }) => start <= at && at < end);
    if (word || this.range) this.select(word ?? null);
  }

  #units(range) {
    const inside = range.cloneRange();
    if (!this.box.contains(range.startContainer)) inside.setStart(this.box, 0);
    if (!this.box.contains(range.endContainer)) inside.setEnd(this.box, this.box.childNodes.length);
    const before = document.createRange();
    before.setStart(this.box, 0);
    before.setEnd(inside.startContainer, inside.startOffset);
    const start = before.toString().length;
    return [start, start + inside.toString().length];
  }
}

// The places of a text's parts that are given without offsets: the first that is not taken, or null.
export function placed(text, part, taken = []) {
  if (!part) return null;
  for (let start = text.indexOf(part); start >= 0; start = text.indexOf(part, start + 1)) {
    const end = start + part.length;
    if (!taken.some((other) => other.start < end && start < other.end)) return { start, end };
  }
  return null;
}
