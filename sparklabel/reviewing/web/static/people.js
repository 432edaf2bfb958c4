// The page of people, for leads. In: figures of each person and task. Out: tables, and a button that takes a person's
// answers back, after a question.

import { getJson, postJson } from "./api.js";
import { button, find, h, percent, plural } from "./dom.js";

const HEADS = [
  "Person", "Answers", "Skips", "Flags", "Taken back", "Seconds an answer", "Agrees with the model", "Agrees with others",
  "Took the suggestion", "Undo",
];

async function draw(section) {
  const path = `/api/${encodeURIComponent(section.dataset.task)}/people`;
  const state = section.querySelector(".state");
  try {
    const { people } = await getJson(path);
    state.textContent = people.length ? "" : "Nobody has answered yet.";
    section.querySelector(".scroll").replaceChildren(people.length ? table(people, path, section) : "");
  } catch (error) {
    state.textContent = error.message;
  }
}

function table(people, path, section) {
  return h(
    "table", {}, h("thead", {}, h("tr", {}, ...HEADS.map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", {}, ...people.map((person) => h(
      "tr", {}, h("th", { scope: "row" }, h("bdi", {}, person.name), person.is_here ? " (here)" : ""),
      ...[person.answers, person.skips, person.flags, person.undone].map((count) => h("td", {}, count.toLocaleString("en"))),
      h("td", {}, person.seconds === null ? "–" : person.seconds.toFixed(1)),
      ...[person.agrees_with_model, person.agrees_with_others, person.took_suggestions].map((share) => h("td", {}, shared(share))),
      h("td", {}, person.answers + person.decisions ? button("Take back", { press: () => ask(person, path, section), class: "button small" }) : ""),
    ))),
  );
}

function shared([count, all]) {
  return all ? `${percent(count / all)} of ${all.toLocaleString("en")}` : "–";
}

function ask(person, path, section) {
  const dialog = find("undo");
  find("undo-title").textContent = `Take back ${plural(person.answers + person.decisions, "answer")} of ${person.name}?`;
  find("take-back").onclick = async () => {
    dialog.close();
    try {
      await postJson(`${path}/undo`, { reviewer: person.name });
      await draw(section);
    } catch (error) {
      section.querySelector(".state").textContent = error.message;
    }
  };
  find("keep").onclick = () => dialog.close();
  dialog.showModal();
}

for (const section of document.querySelectorAll("[data-task]")) draw(section);
