// Values of a task's answers. In: a task. Out: the choices of a kind with one choice a row, answers for many rows at once,
// and values as texts.

const KINDS = {
  classification: (task) => task.labels.map((label) => label.name),
  matching: () => [true, false],
  rating: (task) => (task.scale ?? []).map((point) => point.value),
};

// Empty for kinds whose answers are not one choice.
export function choicesOf(task) {
  return KINDS[task.kind]?.(task) ?? [];
}

// The answers that can be right for many rows at once: choices, and that there is nothing. Words of one text are no answer
// to another. With `isSeveral` an answer is any of the values together.
export function bulkAnswersOf(task) {
  if (task.kind === "multilabel") return { values: task.labels.map((label) => label.name), isSeveral: true };
  const nothing = { entities: [[]], answering: [null] };
  return { values: nothing[task.kind] ?? choicesOf(task), isSeveral: false };
}

export function shown(value) {
  if (value === null || value === undefined) return "no answer";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return String(Math.round(value * 100) / 100);
  if (Array.isArray(value) && value.every((one) => typeof one === "string")) return value.join(", ") || "none";
  return typeof value === "string" ? value : JSON.stringify(value);
}
