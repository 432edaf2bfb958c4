// The page of disputes, for leads. In: disputed rows. Out: one at a time, with what people said; a key or a click decides.

import { getJson, postJson } from "./api.js";
import { shown } from "./choices.js";
import { button, find, h, plural } from "./dom.js";
import { newId } from "./ids.js";
import { keyName } from "./keys.js";
import { keyText } from "./row_view.js";
import { textBox } from "./texts.js";

const path = `/api/${encodeURIComponent(find("main").dataset.task)}`;
let rows = [];
let inputs = [];
let reviewer = null;
let shownAt = 0;
let isDeciding = false;

async function load() {
  const [about, found] = await Promise.all([getJson(`${path}/about`), getJson(`${path}/disputes`)]);
  inputs = about.task.inputs;
  reviewer = about.reviewer;
  rows = found.rows;
  draw();
}

function draw() {
  find("state").textContent = rows.length ? plural(rows.length, "disputed row") : "Nothing is disputed.";
  find("dispute").replaceChildren(...(rows.length ? [card(rows[0])] : []));
  shownAt = performance.now();
}

function card({ row, votes, notes }) {
  return h(
    "article", { class: "card stack" },
    h("h2", { class: "muted" }, keyText(row.key)),
    ...row.inputs.flatMap((text, number) => [
      inputs.length > 1 ? h("span", { class: "column" }, inputs[number]) : null, textBox(text ?? ""),
    ]).filter(Boolean),
    ...notes.map((note) => h("p", { class: "notice" }, note)),
    h("div", { class: "labels ranked" }, ...votes.map((vote, number) => button(
      shown(vote.value), { key: number < 9 ? String(number + 1) : null, press: (event) => click(event, vote.value), class: "label" },
    ))),
    h("p", { class: "muted" }, votes.map(({ value, people }) => `${shown(value)}: ${plural(people, "person", "people")}`).join(", ")),
  );
}

// The second click of a double click comes when the next row stands there.
function click(event, value) {
  if (event.detail < 2) decide(value);
}

// One decision at a time: a second press while it is on its way would decide a row that nobody has seen.
async function decide(value) {
  if (isDeciding) return;
  isDeciding = true;
  const { row } = rows[0];
  find("problem").textContent = "";
  try {
    const { outcomes } = await postJson(`${path}/events`, {
      reviewer, have: [], events: [{
        event_id: newId(), id: row.id, key: row.key, kind: "resolve", value, seconds: (performance.now() - shownAt) / 1000,
        before: row.before ?? null,
      }],
    });
    if (outcomes[0].outcome === "refused") throw new Error(outcomes[0].why);
    rows.shift();
    draw();
  } catch (error) {
    find("problem").textContent = error.message;
  }
  isDeciding = false;
}

document.addEventListener("keydown", (event) => {
  if (event.repeat) return; // a key that is held down must not decide row after row
  const vote = rows[0]?.votes[Number(keyName(event)) - 1];
  if (vote && !event.ctrlKey && !event.metaKey && !event.altKey) decide(vote.value);
});
load().catch((error) => {
  find("state").textContent = "";
  find("problem").textContent = error.message;
});
