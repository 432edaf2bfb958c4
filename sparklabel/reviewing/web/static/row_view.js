// What is drawn beside a row's texts. In: a task, a row. Out: elements and texts.

import { shown } from "./choices.js";
import { h, percent, plural, title } from "./dom.js";

const LONGEST = 60; // characters of an answer in a badge

export function badges(task, { row, given }, isFlagged, note) {
  const { suggestion, before } = row;
  const badge = (text, name = "") => h("span", { class: `badge ${name}` }, text);
  const sure = suggestion?.confidence == null ? "" : `, ${percent(suggestion.confidence)}`;
  return [
    given && badge(given.kind === "skip" ? "You skipped it" : "You answered it", "own"),
    row.blind && badge("Blind: judges the model"),
    suggestion && task.kind !== "rating" && badge(`Suggested by the ${suggestion.by}${sure}`),
    row.copies > 1 && badge(plural(row.copies, "row")),
    before && badge(answeredBefore(before, row.blind)),
    isFlagged && badge("Flagged", "warn"),
    note && badge(`Note: ${note}`),
  ].filter(Boolean);
}

// Who judges blind is not told what another one said.
function answeredBefore({ value, reviewer }, isBlind) {
  const who = reviewer ? `Answered before by ${reviewer}` : "Answered before";
  const what = shown(value);
  return isBlind || what.length > LONGEST ? who : `${who}: ${what}`;
}

// The instructions, and what labels, types, points and fields mean.
export function guidelines({ instructions, labels, types, scale, fields }) {
  const entries = [
    ...(labels ?? []), ...(types ?? []),
    ...(scale ?? []).map(({ value, description }) => ({ name: String(value), description })),
    ...(fields ?? []).map(({ name, description }) => ({ name: title(name), description })),
  ].filter(({ description }) => description);
  const meanings = entries.flatMap(({ name, description }) =>
    [h("dt", {}, h("bdi", {}, name)), h("dd", { dir: "auto" }, description)]);
  return [
    h("p", { class: "instructions", dir: "auto" }, instructions || "The task has no instructions."),
    ...(meanings.length > 0 ? [h("dl", {}, ...meanings)] : []),
  ];
}

// What the answer begins with: what this person answered before, or took back, or else what is suggested.
export function startOf({ row, given, draft }) {
  if (given && given.kind === "answer") return { value: given.value, from: "given" };
  if (draft !== undefined) return { value: draft, from: "draft" };
  return row.suggestion ? { value: row.suggestion.value, from: "suggestion" } : null;
}

// A key as people read it: {"ticket_id": 7} is "ticket_id 7".
export function keyText(key) {
  try {
    // Numbers as they are written: JavaScript's have 53 bits, and a BIGINT has 64.
    const parts = JSON.parse(key, (name, value, context) => (typeof value === "number" ? (context?.source ?? value) : value));
    return Object.entries(parts).map(([name, value]) => `${name} ${value}`).join(", ");
  } catch {
    return String(key);
  }
}
