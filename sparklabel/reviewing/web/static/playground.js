// The playground. In: what a person wrote. Out: requests, one for each side, and what they found, drawn row by row.

import { postJson } from "./api.js";
import { shown } from "./choices.js";
import { find, h, percent, plural } from "./dom.js";

const MANY = 8; // choices that are shown of a row
const TAKEN = 60_000; // ms after which a browser has taken a file
const main = find("main");

function rowsOf(text) {
  const inputs = Number(main.dataset.inputs);
  return text.split("\n").filter((line) => line.trim()).map((line) => (inputs === 1 ? [line] : line.split("\t")));
}

function sides() {
  return find("compare").checked ? ["a", "b"] : ["a"];
}

async function run() {
  const rows = rowsOf(find("rows").value);
  find("results").replaceChildren();
  // One after the other: they share a machine, and one would slow the other's milliseconds down.
  for (const side of sides()) {
    find(`problem-${side}`).textContent = "";
    find("state").textContent = "Trying. The first row waits for the model.";
    try {
      const found = await postJson(`/playground/${encodeURIComponent(main.dataset.task)}/run`, {
        definition: find(`definition-${side}`).value, model: find(`model-${side}`).value.trim(), rows,
        judge: find("judge").checked,
      }, { patience: 600_000 });
      find("results").append(trial(found));
    } catch (error) {
      find(`problem-${side}`).textContent = [error.message, error.hint].filter(Boolean).join(" ");
    }
  }
  find("state").textContent = "";
}

function trial(found) {
  const agreement = found.agreement
    && h("p", {}, `Agrees with ${found.agreement.right} of ${plural(found.agreement.n, "held-out answer")}.`);
  return h(
    "section", { class: "stack side" }, h("h2", {}, h("bdi", {}, found.model)), agreement, ...found.rows.map(triedRow),
  );
}

function triedRow(row) {
  return h(
    "article", { class: "card stack" },
    h("p", { class: "text" }, row.inputs.join("\n")),
    h("p", { class: "verdict" }, row.status === "ok" || row.status === "truncated" ? h("bdi", {}, shown(row.value)) : row.status,
      row.confidence === null ? null : h("small", {}, ` ${percent(row.confidence)} sure`),
      row.raw_confidence !== null && row.raw_confidence !== row.confidence
        ? h("small", {}, `, ${percent(row.raw_confidence)} before calibration`) : null),
    row.error ? h("p", { class: "problem" }, row.error) : null,
    row.choices.length ? choices(row.choices) : null,
    row.parts.length ? prompt(row) : null,
    h("p", { class: "muted" }, facts(row)),
  );
}

function choices(found) {
  return h("table", { class: "shares" }, h("tbody", {}, ...found.slice(0, MANY).map(([name, p]) => h(
    "tr", {}, h("th", { scope: "row" }, h("bdi", {}, name)),
    h("td", {}, h("meter", { min: 0, max: 1, value: p, "aria-label": name }), ` ${(100 * p).toFixed(1)}%`),
  ))));
}

function prompt(row) {
  const tokens = row.parts.flatMap((part) => part.tokens.map((token) => h("span", { class: `token of-${part.source}` }, token)));
  const counts = ["format", "instructions", "row"].map((source) => {
    const count = row.parts.filter((part) => part.source === source).reduce((sum, part) => sum + part.tokens.length, 0);
    return h("span", { class: `token of-${source}` }, `${source} ${count}`);
  });
  return h(
    "details", {}, h("summary", {}, `Prompt: ${plural(row.prompt_tokens, "token")}`),
    h("p", { class: "legend" }, ...counts), h("p", { class: "prompt" }, ...tokens),
  );
}

function facts(row) {
  const perHour = Number(find("per-hour").value);
  const price = perHour > 0 ? `${((row.milliseconds * perHour) / 3600).toPrecision(2)} for 1,000 rows, one at a time` : "";
  return [
    `${Math.round(row.milliseconds).toLocaleString("en")} ms`, plural(row.prompt_tokens + row.output_tokens, "token"),
    row.is_cut ? "the row was cut to fit" : "", price,
  ].filter(Boolean).join(" · ");
}

find("trial").addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
find("compare").addEventListener("change", () => {
  find("side-b").hidden = !find("compare").checked;
});
for (const side of ["a", "b"]) {
  find(`save-${side}`).addEventListener("click", () => {
    const file = new Blob([find(`definition-${side}`).value], { type: "application/yaml" });
    const url = URL.createObjectURL(file);
    find(`save-${side}`).href = url;
    setTimeout(() => URL.revokeObjectURL(url), TAKEN);
  });
}
