// The texts of a row as most kinds show them: one below the other, each under its column's name if there are several.

import { h, title } from "../dom.js";
import { textBox } from "../texts.js";

export function plainTexts({ task, keys }) {
  return (row) => row.inputs.map((text, number) =>
    inputBox(task.inputs, number, textBox(text, { key: keys.key("all") })));
}

export function inputBox(columns, number, box) {
  const name = columns[number] ?? "";
  return h("div", { class: "input" }, columns.length > 1 ? h("h3", { class: "column" }, h("bdi", {}, title(name))) : null, box);
}
