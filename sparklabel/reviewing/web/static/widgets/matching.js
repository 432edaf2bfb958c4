// Matching: two records side by side, what differs is marked; one key says yes or no.

import { compared } from "../diff.js";
import { h, title } from "../dom.js";
import { drawn, textBox } from "../texts.js";
import { LabelButtons } from "./labels.js";

export function matching(context) {
  const { task, keys, answer, say } = context;
  const buttons = new LabelButtons({ press: (value) => answer(value), label: "Do they match?" });
  const element = h("div", {}, buttons.element);
  let suggested;
  let own;

  return {
    element,
    texts: (row) => [records(context, row)],
    draw(row, start) {
      suggested = row.suggestion?.value;
      own = start?.from === "given" ? start.value : undefined;
      buttons.draw([[true, "yes", "Yes, they match"], [false, "no", "No, they differ"]].map(([value, action, text]) => ({
        name: value,
        text,
        key: keys.key(action),
        isSuggested: value === suggested,
        isOwn: value === own,
        mark: value === own ? "your answer" : value === suggested ? "suggested" : "",
        share: value === suggested ? row.suggestion.confidence : null,
      })));
    },
    take() {
      const value = own ?? suggested;
      if (typeof value === "boolean") answer(value);
      else say("Nothing is suggested for this row: answer yes or no.");
    },
    key(event, action, digit) {
      const value = action === "yes" || digit === 1 ? true : action === "no" || digit === 2 ? false : null;
      if (value !== null) answer(value);
      return value !== null;
    },
    help: [["1, 2", "Yes, no"]],
  };
}

// A row a pair of columns. Columns that have no partner stand alone.
function records({ task, keys }, row) {
  const [left, right] = [row.inputs.slice(0, task.left.length), row.inputs.slice(task.left.length)];
  const count = Math.max(left.length, right.length);
  const body = h("tbody");
  for (let number = 0; number < count; number++) {
    const pair = [left[number], right[number]];
    const parts = pair.every((text) => typeof text === "string") ? compared(...pair) : [null, null];
    body.append(h("tr", {},
      cell(task.left[number], pair[0], parts[0], keys), cell(task.right[number], pair[1], parts[1], keys)));
  }
  return h("table", { class: "records" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "First record"), h("th", { scope: "col" }, "Second record"))), body);
}

function cell(column, text, parts, keys) {
  if (column === undefined) return h("td");
  const draw = (box, shown) => {
    let left = shown.length; // a long text is cut
    for (const { text: part, differs } of parts ?? [{ text: shown, differs: false }]) {
      const seen = part.slice(0, Math.max(0, left));
      left -= part.length;
      if (seen) box.append(differs ? h("mark", { class: "differs" }, drawn(seen)) : drawn(seen));
    }
  };
  return h("td", {}, h("span", { class: "column" }, h("bdi", {}, title(column))), textBox(text, { key: keys.key("all"), draw }));
}
