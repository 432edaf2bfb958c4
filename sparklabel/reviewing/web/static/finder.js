// Finds a label by typing: a text field with a list, as the ARIA pattern of a combobox has it. In: labels. Out: the
// label that a person takes.

import { h } from "./dom.js";

const LISTED = 12;

export class Finder {
  // take: (name) => void. leave: () => void, when Escape is pressed. what: the field's name.
  constructor(labels, { take, leave, what = "Find a label", key }) {
    this.labels = labels.map((label) => ({ ...label, words: folded(label.name), says: folded(label.description ?? "") }));
    this.take = take;
    this.found = [];
    this.list = h("ul", { id: "finder-list", role: "listbox", "aria-label": what, class: "options", hidden: true });
    this.input = h("input", {
      id: "finder", type: "text", role: "combobox", "aria-label": what, "aria-expanded": "false",
      "aria-controls": "finder-list", "aria-autocomplete": "list", autocomplete: "off", spellcheck: "false",
      placeholder: `${what} (${key})`, input: () => this.#draw(0), keydown: (event) => this.#pressed(event, leave),
      blur: () => this.#close(),
    });
    this.element = h("div", { class: "finder" }, this.input, this.list);
  }

  open() {
    this.input.focus();
    this.input.select();
  }

  clear() {
    if (this.input.value !== "") this.input.value = "";
    this.#close();
  }

  #pressed(event, leave) {
    if (event.isComposing) return;
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    if (event.key === "Escape") {
      this.clear();
      leave();
    } else if (steps[event.key]) {
      if (this.list.hidden) this.#draw(0);
      else this.#mark((this.at + steps[event.key] + this.found.length) % Math.max(1, this.found.length));
    } else if (event.key === "Enter") {
      const label = this.found[this.at];
      if (label) this.#chosen(label);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #chosen(label) {
    this.clear();
    this.take(label.name);
  }

  #draw(at) {
    const typed = folded(this.input.value);
    this.found = typed ? ranked(this.labels, typed) : this.labels.slice(0, LISTED);
    this.list.replaceChildren(...this.found.map((label, number) =>
      h("li", { id: `option-${number}`, role: "option", "aria-selected": "false", class: "option",
        // The click must come before the field loses the focus.
        mousedown: (event) => event.preventDefault(), click: () => this.#chosen(label) },
      h("bdi", {}, label.name), label.description ? h("small", { dir: "auto" }, label.description) : null)));
    if (this.found.length === 0) this.list.append(h("li", { role: "option", "aria-disabled": "true", "aria-selected": "false", class: "option muted" }, "No such label"));
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    this.#mark(at);
  }

  #mark(at) {
    this.at = at;
    [...this.list.children].forEach((option, number) => option.setAttribute("aria-selected", String(number === at)));
    if (this.found[at]) {
      this.input.setAttribute("aria-activedescendant", `option-${at}`);
      this.list.children[at].scrollIntoView({ block: "nearest" });
    } else this.input.removeAttribute("aria-activedescendant");
  }

  #close() {
    this.list.hidden = true;
    this.found = [];
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }
}

// Without differences in case, accents and separators.
function folded(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").replace(/[_\-\s]+/g, " ").trim().toLowerCase();
}

// Names that begin so, then words of names that do, then names that contain it, then descriptions, then its letters
// in order.
function ranked(labels, typed) {
  const rank = ({ words, says }) =>
    words.startsWith(typed) ? 0
    : words.includes(` ${typed}`) ? 1
    : words.includes(typed) ? 2
    : typed.split(" ").every((part) => words.includes(part)) ? 3
    : says.includes(typed) ? 4
    : hasInOrder(words, typed) ? 5 : 6;
  return labels
    .map((label) => ({ label, rank: rank(label) }))
    .filter((found) => found.rank < 6)
    .sort((one, other) => one.rank - other.rank)
    .slice(0, LISTED)
    .map(({ label }) => label);
}

function hasInOrder(words, typed) {
  let at = 0;
  for (const letter of typed.replaceAll(" ", "")) {
    at = words.indexOf(letter, at) + 1;
    if (at === 0) return false;
  }
  return true;
}
