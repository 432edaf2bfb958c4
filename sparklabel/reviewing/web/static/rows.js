// The page of rows. In: a filter. Out: pages of rows. Answers in bulk, for leads, are in bulk.js.

import { getJson, postJson } from "./api.js";
import { startBulk } from "./bulk.js";
import { bulkAnswersOf, choicesOf, shown } from "./choices.js";
import { find, h, percent, plural } from "./dom.js";
import { keyText } from "./row_view.js";
import { drawn } from "./texts.js";

const path = `/api/${encodeURIComponent(find("main").dataset.task)}`;
let inputs = [];
let labels = [];
let filter = {};
let asked = 0;
let showBulk = () => {};

// Of several requests the last one counts. Returns whether the page is drawn.
async function load(page = 1) {
  const number = (asked += 1);
  find("problem").textContent = "";
  try {
    const found = await postJson(`${path}/rows`, { filter, page });
    if (number === asked) draw(found);
  } catch (error) {
    if (number === asked) find("problem").textContent = error.message;
  }
}

function draw({ rows, count, page, pages, held_out, note }) {
  const hidden = held_out ? ` ${plural(held_out, "more row judges", "more rows judge")} the model, and ${held_out === 1 ? "is" : "are"} not shown by label.` : "";
  find("state").textContent = note ?? `${plural(count, "row")}.${hidden}`;
  find("rows").replaceChildren(...(rows.length ? [table(rows)] : []));
  find("pages").hidden = pages < 2;
  find("page").textContent = `Page ${page.toLocaleString("en")} of ${pages.toLocaleString("en")}`;
  find("previous").disabled = page <= 1;
  find("next").disabled = page >= pages;
  find("previous").onclick = () => turn(page - 1);
  find("next").onclick = () => turn(page + 1);
  showBulk(filter, count);
}

async function turn(page) {
  await load(page);
  find("rows").focus({ preventScroll: true });
  find("state").scrollIntoView({ block: "nearest" });
}

function table(rows) {
  const heads = ["Key", ...inputs, "Model", "Confidence", "Answer", "By"];
  return h(
    "table", {}, h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", {}, ...rows.map((row) => h(
      "tr", {}, h("th", { scope: "row" }, keyText(row.key)),
      ...row.inputs.map((text) => h("td", {}, h("div", { class: "clamp", dir: "auto" }, drawn(text ?? "")))),
      h("td", {}, row.blind ? h("span", { class: "muted" }, "hidden") : row.has_label ? h("bdi", {}, shown(row.label)) : "–"),
      h("td", {}, row.confidence === null ? "–" : percent(row.confidence)),
      h("td", {}, answer(row), row.is_flagged ? h("span", { class: "badge warn" }, "flagged") : null),
      h("td", {}, row.by.length ? h("bdi", {}, row.by.join(", ")) : "–"),
    ))),
  );
}

function answer(row) {
  if (row.is_disputed) return h("span", { class: "badge warn" }, "disputed");
  if (!row.is_answered) return "–";
  return row.blind && row.answer === null ? h("span", { class: "muted" }, "hidden") : h("bdi", {}, shown(row.answer));
}

function read() {
  const search = find("search").value.trim();
  const [below, status, label] = ["below", "status", "label"].map((id) => find(id).value);
  return {
    ...(search && { search }), ...(status && { status }),
    ...(below !== "" && { confidence_below: Number(below) / 100 }), ...(label !== "" && { label: labels[Number(label)] }),
  };
}

async function start() {
  const { task } = await getJson(`${path}/about`);
  const choices = choicesOf(task);
  inputs = task.inputs;
  labels = task.labels ? task.labels.map((label) => label.name) : task.kind === "matching" ? choices : [];
  find("label-field").hidden = labels.length === 0;
  find("label").append(...labels.map((label, number) => h("option", { value: number }, shown(label))));
  if (choices.length === 0) find("suspicious").remove();
  const bulk = bulkAnswersOf(task);
  if (bulk.values.length > 0 && find("bulk")) showBulk = startBulk(path, bulk, load);
  find("filter").addEventListener("submit", (event) => {
    event.preventDefault();
    filter = read();
    load();
  });
  find("filter").addEventListener("reset", () => {
    filter = {};
    load();
  });
  await load();
}

start().catch((error) => {
  find("state").textContent = "";
  find("problem").textContent = error.message;
});
