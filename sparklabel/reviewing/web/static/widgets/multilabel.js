// Multilabel: digits switch labels on and off, Enter sends those that are on. What is suggested is on at the start.

import { h } from "../dom.js";
import { Finder } from "../finder.js";
import { plainTexts } from "./inputs.js";
import { LabelButtons } from "./labels.js";

const KEYED = 9;
const LISTED = 100;

export function multilabel(context) {
  const { task, keys, answer, say, leave } = context;
  const names = task.labels.map((label) => label.name);
  const isRanked = names.length > KEYED;
  const buttons = new LabelButtons({ press: (name) => toggle(name), isToggle: true, label: "Labels" });
  const finder = new Finder(task.labels, { take: (name) => toggle(name), leave: () => leave(), key: keys.key("find") });
  const sent = h("p", { class: "hint" });
  const send = h("button", { type: "button", class: "button primary", click: () => take() });
  const element = h("div", {}, finder.element, buttons.element, h("div", { class: "buttons" }, send, sent));
  let chosen = new Set();
  let suggested = new Set();
  let listed = names;
  let isWarned = false;
  finder.element.hidden = !isRanked;

  function toggle(name) {
    if (!chosen.delete(name)) chosen.add(name);
    if (!listed.includes(name)) listed = [...listed, name];
    show();
  }

  function show() {
    buttons.draw(listed.map((name, number) => ({
      name,
      key: number < KEYED ? String(number + 1) : null,
      isPressed: chosen.has(name),
      isSuggested: suggested.has(name),
      mark: suggested.has(name) ? "suggested" : "",
    })));
    buttons.element.classList.toggle("many", listed.length > KEYED);
    const values = names.filter((name) => chosen.has(name));
    send.replaceChildren(h("kbd", {}, "Enter"), ` Send ${values.length === 0 ? "none of them" : values.length}`);
    sent.textContent = values.join(", ");
  }

  // Enter is a habit where labels are suggested. Where nothing is, it must not say "none of them" by itself.
  function take() {
    if (chosen.size === 0 && context.isBlind() && !isWarned) {
      isWarned = true;
      say("Nothing is chosen. Once more, if it is none of them.");
    } else answer(names.filter((name) => chosen.has(name)));
  }

  return {
    element,
    texts: plainTexts(context),
    draw(row, start) {
      isWarned = false;
      suggested = new Set(row.suggestion?.value ?? []);
      chosen = new Set(start?.value ?? []);
      const likely = (row.suggestion?.choices ?? []).flatMap(({ value }) => value);
      const first = [...new Set([...chosen, ...suggested, ...likely])].filter((name) => names.includes(name));
      listed = !isRanked || first.length === 0 ? names.slice(0, LISTED) : first.slice(0, Math.max(KEYED, chosen.size));
      finder.clear();
      show();
    },
    take,
    made: () => [...chosen],
    remake(made) {
      chosen = new Set(made);
      listed = [...new Set([...listed, ...made])];
      show();
    },
    key(event, action, digit) {
      if (action === "find") {
        finder.element.hidden = false;
        finder.open();
        return true;
      }
      const name = digit ? listed.slice(0, KEYED)[digit - 1] : undefined;
      if (name !== undefined) toggle(name);
      return name !== undefined;
    },
    help: [[`1 to ${Math.min(KEYED, names.length)}`, "Switch a label on or off"], ["Enter", "Send the labels that are on"]],
  };
}
