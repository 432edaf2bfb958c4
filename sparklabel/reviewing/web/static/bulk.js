// One answer for all rows of a filter, for leads. In: the filter, an answer. Out: a request, after ten of the rows were
// shown; and one button for each bulk, which takes it back.

import { getJson, postJson } from "./api.js";
import { shown } from "./choices.js";
import { button, find, h, plural } from "./dom.js";
import { keyText } from "./row_view.js";
import { drawn } from "./texts.js";

const NONE = "none";
const PATIENCE = 300_000; // ms: many thousand answers come on disk

// changed: () => void, after rows have got answers, or lost them. Returns show: (filter, count) => void, for what is shown.
export function startBulk(path, { values, isSeveral }, changed) {
  let filter = {};
  let count = 0;
  let names = ""; // stands for the rows that the filter finds: others by the time of the answer are refused
  const options = values.map((value, number) => h("option", { value: number }, shown(value)));
  const first = isSeveral ? h("option", { value: NONE }, "none of them") : h("option", { value: "" }, "Choose");
  find("bulk-answer").append(first, ...options);
  find("bulk-answer").multiple = isSeveral;
  find("bulk-several").hidden = !isSeveral;

  // Undefined until one is chosen. Of several labels none is an answer, too, but not by doing nothing.
  function chosen() {
    const picked = [...find("bulk-answer").selectedOptions].map((option) => option.value).filter((value) => value !== "");
    if (picked.length === 0 || (picked.includes(NONE) && picked.length > 1)) return undefined;
    const found = picked.filter((one) => one !== NONE).map((one) => values[Number(one)]);
    return isSeveral ? found : found[0];
  }

  // The button can be pressed once ten rows are there to be looked at.
  async function draw() {
    find("bulk-give").disabled = find("bulk-again").disabled = true;
    find("bulk-problem").textContent = "";
    try {
      const found = await postJson(`${path}/bulk/sample`, { filter });
      ({ count, names } = found);
      find("bulk-left-out").textContent = leftOut(found);
      find("bulk-drawn").textContent = `${found.rows.length} of ${plural(count, "row")}, drawn at random`;
      find("bulk-rows").replaceChildren(...found.rows.map(item));
      find("bulk-give").disabled = find("bulk-again").disabled = count === 0;
      name();
    } catch (error) {
      find("bulk-problem").textContent = error.message;
    }
  }

  function name() {
    const value = chosen();
    const answer = value === undefined ? "an answer" : `the answer ${shown(value)}`;
    find("bulk-give").textContent = `Give all ${count.toLocaleString("en")} ${answer}`;
  }

  async function give(event) {
    event.preventDefault();
    const value = chosen();
    if (value === undefined) {
      find("bulk-problem").textContent = "\"none of them\" and a label are no answer together.";
      return;
    }
    find("bulk-give").disabled = true;
    find("bulk-give").textContent = "Saving";
    find("bulk-problem").textContent = "";
    try {
      const done = await postJson(`${path}/bulk`, { filter, value, count, names }, { patience: PATIENCE });
      find("bulk").close();
      const left = done.left ? ` ${plural(done.left, "row is", "rows are")} left to people who have just got them.` : "";
      await told(`${plural(done.answered, "row")} got the answer ${shown(value)}.${left}`);
    } catch (error) {
      find("bulk-problem").textContent = `${error.message} ${error.hint ?? ""}`;
      name();
    }
  }

  async function undo(bulk, press) {
    press.disabled = true;
    try {
      const { undone } = await postJson(`${path}/bulk/undo`, { bulk }, { patience: PATIENCE });
      await told(`${plural(undone, "answer")} taken back.`);
    } catch (error) {
      press.disabled = false;
      find("problem").textContent = error.message;
    }
  }

  async function told(text) {
    await Promise.all([changed(), list()]);
    find("state").textContent = `${text} ${find("state").textContent}`;
  }

  async function list() {
    const { bulks } = await getJson(`${path}/bulk`);
    find("bulks").hidden = bulks.length === 0;
    find("bulk-list").replaceChildren(...bulks.reverse().map((one) => {
      const what = `${plural(one.answered, "row")}: ${shown(one.value)}`;
      const back = button("Take back", { class: "button small", "aria-label": `Take back ${what}`, press: () => undo(one.bulk, back) });
      return h("li", { class: "line" }, h("span", {}, h("bdi", {}, what), h("small", {}, ` by ${one.reviewer}, ${time(one.at)}`)), back);
    }));
  }

  find("open-bulk").addEventListener("click", () => {
    find("bulk-answer").value = "";
    find("bulk-give").textContent = "Looking";
    find("bulk").showModal();
    draw();
  });
  find("bulk-again").addEventListener("click", draw);
  find("bulk-close").addEventListener("click", () => find("bulk").close());
  find("bulk-answer").addEventListener("change", name);
  find("bulk-form").addEventListener("submit", give);
  list().catch((error) => { find("problem").textContent = error.message; });
  return (wanted, rows) => {
    filter = wanted;
    find("open-bulk").hidden = rows === 0;
  };
}

function item(row) {
  return h("li", {}, h("small", {}, keyText(row.key), row.has_label ? [" · the model says ", shown(row.label)].join("") : ""),
    ...row.inputs.map((text) => h("div", { class: "clamp", dir: "auto" }, drawn(text ?? ""))));
}

function leftOut({ held_out, answered }) {
  const parts = [
    held_out && `${plural(held_out, "row that judges the model", "rows that judge the model")}`,
    answered && `${plural(answered, "row that people answered", "rows that people answered")}`,
  ].filter(Boolean);
  return parts.length ? `Left out: ${parts.join(", ")}.` : "";
}

function time(at) {
  return new Date(at).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" });
}
