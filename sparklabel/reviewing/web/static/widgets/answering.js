// Answering: words of the context, or "no answer". With `extractive` the answer is what is selected; else a text, into
// which a selection is copied.

import { button, h } from "../dom.js";
import { textBox } from "../texts.js";
import { inputBox } from "./inputs.js";
import { MarkedText, placed } from "./marked_text.js";

export function answering(context) {
  const { task, keys, answer, say, leave } = context;
  const marked = new MarkedText({ selected: () => selected() });
  const chosen = task.extractive
    ? h("output", { class: "chosen", "aria-label": "The answer", dir: "auto" })
    : h("textarea", { id: "written", rows: 2, "aria-label": "The answer", dir: "auto" });
  const none = button("No answer", { key: keys.key("none"), press: () => answer(null) });
  const send = button("Send", { key: "Enter", class: "button primary", press: () => take() });
  const element = h("div", {}, chosen, h("div", { class: "buttons" }, send, none));
  let isNone = false;

  const written = () => (task.extractive ? chosen.textContent : chosen.value);
  const write = (text) => {
    if (task.extractive) chosen.textContent = text;
    else chosen.value = text;
  };

  function selected() {
    isNone = false;
    if (marked.range) write(marked.text.slice(marked.range.start, marked.range.end));
    else if (task.extractive) write("");
    leave();
  }

  function take() {
    if (isNone) answer(null);
    else if (written().trim() === "") say(`Select the words that answer the question, or press ${keys.key("none")}: no answer.`);
    else answer(written());
  }

  return {
    element,
    texts(row) {
      marked.range = null;
      const draw = (box, shown) => marked.show(box, shown);
      return row.inputs.map((text, number) =>
        inputBox(task.inputs, number, textBox(text, number === 1 ? { key: keys.key("all"), draw } : {})));
    },
    draw(row, start) {
      isNone = Boolean(start) && start.value === null;
      none.classList.toggle("suggested", isNone);
      write(start?.value ?? "");
      if (marked.box?.isConnected) {
        marked.range = start?.value ? placed(marked.text, start.value) : null;
        marked.paint();
      }
    },
    take,
    made: () => ({ isNone, text: written(), range: marked.range }),
    remake(made) {
      isNone = made.isNone;
      write(made.text);
      marked.range = made.range;
      if (marked.box?.isConnected) marked.paint();
    },
    key(event, action) {
      const arrow = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (arrow && event.shiftKey && marked.range) {
        marked.select(marked.moved(marked.range, event.altKey ? "start" : "end", arrow));
      } else if (action === "none") answer(null);
      else if (action === "nextWord") marked.step(1);
      else if (action === "previousWord") marked.step(-1);
      else if (action === "edit" && !task.extractive) chosen.focus();
      else if (event.key === "Escape" && marked.range) marked.select(null);
      else return false;
      return true;
    },
    help: [["Shift ← →", "Move the end by a word"], ["Alt Shift ← →", "Move the start by a word"], ["Mouse", "Select the words of the answer"]],
  };
}
