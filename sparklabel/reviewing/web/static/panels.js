// Dialogs of the review screen: all keys, a note, a filter. In: what is there. Out: what a person changed. The browser
// gives the focus back to where it was.

import { button, h, keyTitle } from "./dom.js";
import { ACTIONS, isModifier, keyName } from "./keys.js";

function dialog(title, ...content) {
  const close = button("Close", { key: "Escape", press: () => element.close() });
  const element = h("dialog", { "aria-labelledby": "dialog-title", keydown: escape, close: () => element.remove() },
    h("h2", { id: "dialog-title" }, title), ...content, h("div", { class: "buttons end" }, close));
  // The browser closes it a little later, and the next key would be lost.
  function escape(event) {
    if (event.key !== "Escape") return;
    event.preventDefault();
    element.close();
  }
  document.body.append(element);
  element.showModal();
  return element;
}

// changed: () => void, after a key is another one. closed: () => void.
export function openHelp(keys, widgetHelp, { changed, closed }) {
  const message = h("p", { class: "message", role: "alert" });
  const body = h("tbody");
  const isOn = h("input", { type: "checkbox", id: "keys-on", change: () => keys.switch(isOn.checked) });
  isOn.checked = keys.areOn;

  function draw() {
    body.replaceChildren(
      ...keys.names.map((name) => row(h("kbd", {}, keyTitle(keys.key(name))), ACTIONS[name].what, changer(name))),
      ...widgetHelp.map(([key, what]) => row(h("kbd", {}, key), what)),
    );
  }

  function changer(name) {
    const change = button("Change", {
      class: "button small", "aria-label": `Change the key: ${ACTIONS[name].what}`,
      press: () => {
        message.textContent = `Press the key for: ${ACTIONS[name].what}. Esc keeps it as it is.`;
        change.addEventListener("keydown", function listen(event) {
          if (isModifier(event) || event.key === "Tab") return;
          event.preventDefault();
          event.stopPropagation();
          change.removeEventListener("keydown", listen);
          message.textContent = event.key === "Escape" ? "" : given(name, event);
        });
      },
    });
    return change;
  }

  function given(name, event) {
    if (/^[0-9]$/.test(event.key)) return "Digits choose labels: take another key.";
    const owner = keys.change(name, keyName(event));
    if (owner) return `${keyTitle(keyName(event))} is the key of: ${ACTIONS[owner].what}.`;
    draw();
    changed();
    [...body.children][keys.names.indexOf(name)].querySelector("button").focus();
    return `${ACTIONS[name].what}: ${keyTitle(keys.key(name))}.`;
  }

  const reset = button("Reset all keys", { press: () => { keys.reset(); draw(); changed(); } });
  draw();
  const panel = dialog("Keys", h("p", { class: "line" }, isOn, h("label", { for: "keys-on" }, "Single keys act at once")), message,
    h("table", { class: "keys" }, h("thead", { class: "unseen" }, h("tr", {}, ...["Key", "What it does", "Change"].map((name) => h("th", { scope: "col" }, name)))), body),
    h("div", { class: "buttons" }, reset));
  panel.addEventListener("close", closed);
}

const row = (key, what, change) => h("tr", {}, h("td", {}, key), h("td", {}, what), h("td", {}, change));

// save: (text) => void.
export function openNote(text, save) {
  const area = h("textarea", { id: "note", rows: 4, maxlength: 2000, dir: "auto" });
  area.value = text ?? "";
  const keep = () => { save(area.value.trim()); panel.close(); };
  area.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    event.stopPropagation();
    keep();
  });
  const panel = dialog("Note", h("label", { for: "note" }, "What others should know of this row. It is kept with your answer."), area,
    h("div", { class: "buttons" }, button("Keep the note", { key: "Ctrl+Enter", class: "button primary", press: keep })));
  area.focus();
}

const STATUSES = {
  "": "All", unlabeled: "Without a label", flagged: "Flagged", disputed: "Disputed", suspicious: "Suspicious to the probe",
};
const ONE_CHOICE = ["classification", "matching", "rating"];

// apply: (filter) => void; an empty filter is {}.
export function openFilter(task, filter, apply) {
  const names = (task.labels ?? []).map((label) => label.name);
  const search = h("input", { id: "filter-search", type: "search", dir: "auto", autocomplete: "off" });
  const label = h("select", { id: "filter-label" }, h("option", { value: "" }, "Any"), ...names.map((name) => h("option", { value: name }, name)));
  const below = h("input", { id: "filter-below", type: "number", min: 0, max: 100, step: 5, inputmode: "numeric" });
  const status = h("select", { id: "filter-status" }, ...Object.entries(STATUSES)
    .filter(([value]) => value !== "suspicious" || ONE_CHOICE.includes(task.kind)).map(([value, name]) => h("option", { value }, name)));
  search.value = filter.search ?? "";
  label.value = filter.label ?? "";
  below.value = filter.confidence_below === undefined ? "" : Math.round(filter.confidence_below * 100);
  status.value = filter.status ?? "";
  const use = (chosen) => { panel.close(); apply(chosen); };
  const read = () => ({
    ...(search.value.trim() && { search: search.value.trim() }),
    ...(label.value && { label: label.value }),
    ...(below.value !== "" && { confidence_below: Number(below.value) / 100 }),
    ...(status.value && { status: status.value }),
  });
  const form = h("form", { class: "stack", submit: (event) => { event.preventDefault(); use(read()); } },
    h("label", { for: "filter-search" }, "Text"), search,
    names.length > 0 && h("label", { for: "filter-label" }, "Label"), names.length > 0 && label,
    h("label", { for: "filter-below" }, "Confidence below, in percent"), below,
    h("label", { for: "filter-status" }, "Rows"), status,
    h("p", { class: "hint" }, "Rows of a filter are not a random sample: their answers teach, and judge no model."),
    h("div", { class: "buttons" }, h("button", { type: "submit", class: "button primary" }, "Show these"), button("All rows", { press: () => use({}) })));
  const panel = dialog("Filter", form);
}
