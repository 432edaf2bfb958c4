// Entities: spans of the text by type, with keyboard and mouse. Tab goes from span to span; w and b go from word to word;
// Shift and the arrows move the end, with Alt the start; a digit sets the type; x removes; Enter sends. The text never
// changes. The value counts code points, as Python's slices do; here everything is in UTF-16 units.

import { button, h } from "../dom.js";
import { Finder } from "../finder.js";
import { Offsets, textBox } from "../texts.js";
import { LabelButtons } from "./labels.js";
import { MarkedText, placed } from "./marked_text.js";

const KEYED = 9;
const COLORS = 8;

export function entities(context) {
  const { task, keys, answer, say, leave } = context;
  const types = task.types.map((type) => (typeof type === "string" ? { name: type } : type));
  const names = types.map(({ name }) => name);
  const marked = new MarkedText({ selected: () => deselect(), picked: (number) => pick(number) });
  const buttons = new LabelButtons({ press: (name) => setType(name), label: "Types" });
  const finder = new Finder(types, { take: (name) => { leave(); setType(name); }, leave, what: "Find a type", key: keys.key("find") });
  const list = h("ul", { class: "entities", "aria-label": "Entities" });
  const send = h("button", { type: "button", class: "button primary", click: () => take() });
  const element = h("div", {}, buttons.element, finder.element, list, h("div", { class: "buttons" }, send));
  finder.element.hidden = names.length <= KEYED;
  buttons.draw(names.map((name, number) => ({ name, key: number < KEYED ? String(number + 1) : null })));
  buttons.buttons.forEach((button, number) => {
    button.element.classList.add(`type-${number % COLORS}`);
    button.element.addEventListener("mousedown", (event) => event.preventDefault()); // the selection stays
  });
  let text = "";
  let offsets;
  let found = []; // {type, start, end}
  let active = null;
  let isWarned = false;

  function show(focus) {
    const colors = new Map(names.map((name, number) => [name, `entity type-${number % COLORS}`]));
    found.sort((one, other) => one.start - other.start || one.end - other.end);
    marked.marks = found.map((entity) => ({
      start: entity.start, end: entity.end, class: colors.get(entity.type) ?? "entity", label: `${entity.type}: ${words(entity)}`,
    }));
    marked.paint();
    if (focus) marked.focus(found.indexOf(focus));
    list.replaceChildren(...found.map((entity) => h("li", { class: colors.get(entity.type) ?? "entity" },
      h("span", { class: "type" }, entity.type), " ", h("bdi", {}, words(entity)), " ",
      button("×", { class: "button bare", "aria-label": `Remove ${entity.type} ${words(entity)}`, press: () => remove(entity) }))));
    send.replaceChildren(h("kbd", {}, "Enter"), found.length === 0 ? " Send: no entities" : ` Send ${found.length}`);
  }

  const words = ({ start, end }) => text.slice(start, end);

  function pick(number) {
    active = found[number];
    if (marked.range) {
      marked.range = null;
      marked.paint();
    }
  }

  function deselect() {
    active = null;
    if (marked.range) leave();
  }

  function setType(type) {
    if (active) {
      active.type = type;
      show(active);
    } else if (marked.range) {
      const { start, end } = marked.range;
      active = { type, start, end };
      found = found.filter((other) => other.end <= start || end <= other.start);
      found.push(active);
      marked.range = null;
      show(active);
    } else {
      say(`Select words first: with the mouse, or with ${keys.key("nextWord")} from word to word.`);
    }
    isWarned = true;
  }

  function remove(entity) {
    found = found.filter((other) => other !== entity);
    active = null;
    show();
    leave();
  }

  function move(edge, direction) {
    const from = active ?? marked.range;
    if (!from) return marked.step(1, null);
    const { start, end } = marked.moved(from, edge, direction);
    if (!active) return marked.select({ start, end });
    const moved = active;
    Object.assign(moved, { start, end });
    found = found.filter((other) => other === moved || other.end <= start || end <= other.start);
    return show(moved);
  }

  function take() {
    if (marked.range) return say("What is selected has no type yet: press a digit, or Esc.");
    if (found.length === 0 && context.isBlind() && !isWarned) {
      isWarned = true;
      return say("There are no entities yet. Once more, if the text has none.");
    }
    return answer(found.map((entity) => ({
      text: words(entity), type: entity.type, start: offsets.toPoint(entity.start), end: offsets.toPoint(entity.end),
    })));
  }

  // What is suggested without a place gets one; what the text does not have is left out.
  function begin(value) {
    found = [];
    for (const { text: quote, type, start, end } of value ?? []) {
      const isPlaced = typeof start === "number" && typeof end === "number";
      const place = isPlaced ? { start: offsets.toUnit(start), end: offsets.toUnit(end) } : placed(text, quote, found);
      if (place) found.push({ type, ...place });
    }
  }

  return {
    element,
    texts(row) {
      text = row.inputs[0] ?? "";
      offsets = new Offsets(text);
      marked.marks = [];
      return [textBox(row.inputs[0], { key: keys.key("all"), draw: (box, shown) => marked.show(box, shown) })];
    },
    draw(row, start) {
      active = null;
      isWarned = false;
      begin(start?.value);
      finder.clear();
      show();
    },
    take,
    made: () => found,
    remake(made) {
      found = made;
      show();
    },
    key(event, action, digit) {
      const arrow = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (arrow && event.shiftKey) move(event.altKey ? "start" : "end", arrow);
      else if (action === "nextWord") marked.step(1, active ?? marked.range);
      else if (action === "previousWord") marked.step(-1, active ?? marked.range);
      else if (action === "remove" && active) remove(active);
      else if (action === "find") { finder.element.hidden = false; finder.open(); }
      else if (event.key === "Escape" && marked.range) marked.select(null);
      else if (digit && names[digit - 1] && digit <= KEYED) setType(names[digit - 1]);
      else return false;
      return true;
    },
    help: [
      ["Tab", "From entity to entity"], [`1 to ${Math.min(KEYED, names.length)}`, "Give what is selected a type"],
      ["Shift ← →", "Move the end by a word"], ["Alt Shift ← →", "Move the start by a word"],
      ["Mouse", "Click a word or drag over some, then press a digit"],
    ],
  };
}
