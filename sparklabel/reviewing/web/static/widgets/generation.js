// Generation: a text, or a form if the task has fields. Enter takes it as it is; Ctrl+Enter sends it from within.

import { button, h } from "../dom.js";
import { FieldsForm } from "./fields.js";
import { plainTexts } from "./inputs.js";

export function generation(context) {
  return context.task.fields?.length ? structured(context) : free(context);
}

function free(context) {
  const { answer, say } = context;
  const area = h("textarea", { id: "written", rows: 5, "aria-label": "The answer", dir: "auto" });
  const send = button("Send", { key: "Ctrl+Enter", class: "button primary", press: () => take() });
  const element = h("div", {}, area, h("div", { class: "buttons" }, send));

  function take() {
    const text = area.value.trim();
    if (text) answer(text);
    else say("Write an answer first.");
  }

  return {
    element,
    texts: plainTexts(context),
    draw: (row, start) => { area.value = start?.value ?? ""; },
    take,
    made: () => area.value,
    remake: (made) => { area.value = made; },
    key(event, action) {
      if (action !== "edit") return false;
      area.focus();
      return true;
    },
    help: [["Ctrl Enter", "Send, while writing"]],
  };
}

function structured(context) {
  const { task, answer, say } = context;
  const form = new FieldsForm(task.fields);

  function take() {
    const value = form.take();
    if (value) answer(value);
    else say("A field cannot be read.");
  }

  return {
    ...form.parts(take),
    texts: plainTexts(context),
    draw: (row, start) => form.show(start?.value),
    take,
    help: [["Tab", "From field to field"], ["Ctrl 0", `"Not there", in a field`]],
  };
}
