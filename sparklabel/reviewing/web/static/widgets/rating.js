// Rating: a key for each point of the scale. A suggestion may lie between two points; the nearest one is marked.

import { h, percent } from "../dom.js";
import { plainTexts } from "./inputs.js";
import { LabelButtons } from "./labels.js";

const MOST = 12; // points with a button each; of a longer scale, the number is typed

export function rating(context) {
  const { task, answer, say, leave } = context;
  const points = task.scale.map((point) => point.value);
  const isLong = points.length > MOST;
  const buttons = new LabelButtons({ press: (value) => answer(value), label: "Scale" });
  buttons.element.classList.toggle("ranked", points.length <= 9);
  const field = h("input", { id: "number", inputmode: "decimal", autocomplete: "off" });
  const form = h("form", { class: "buttons", hidden: !isLong, submit: (event) => { event.preventDefault(); typed(); } },
    h("label", { for: "number" }, `A number from ${points[0]} to ${points.at(-1)}`), field,
    h("button", { class: "button primary" }, h("kbd", {}, "Enter"), " Send"));
  const hint = h("p", { class: "hint" });
  const element = h("div", {}, buttons.element, form, hint);
  // Digits mean themselves if every point is one digit; else they are places.
  const digits = points.every((point) => Number.isInteger(point) && point >= 0 && point <= 9);
  const keyOf = (point, number) => (digits ? String(point) : number < 9 ? String(number + 1) : null);
  // The key already shows a digit.
  const wordsOf = (point, description) =>
    digits ? description || `of ${points.at(-1)}` : description ? `${point} · ${description}` : String(point);
  let items = [];
  let first;

  function typed() {
    const value = Number(field.value.replace(",", "."));
    if (field.value.trim() === "" || !points.includes(value)) {
      say(`${field.value || "Nothing"} is not a number of the scale.`);
      field.focus();
    } else {
      leave();
      answer(value);
    }
  }

  return {
    element,
    texts: plainTexts(context),
    draw(row, start) {
      const { suggestion } = row;
      const isOwn = start?.from === "given";
      const suggested = suggestion ? nearest(points, suggestion.value) : undefined;
      first = isOwn ? start.value : suggested;
      items = points.map((point, number) => ({
        name: point,
        text: wordsOf(point, task.scale[number].description),
        key: keyOf(point, number),
        isSuggested: point === suggested,
        isOwn: isOwn && point === first,
        mark: isOwn && point === first ? "your answer" : point === suggested ? "suggested" : "",
      }));
      buttons.draw(isLong ? [] : items);
      field.value = first ?? "";
      hint.textContent = suggestion
        ? `Suggested: ${Math.round(suggestion.value * 100) / 100}` + (suggestion.confidence == null ? "" : `, ${percent(suggestion.confidence)} sure`)
        : "";
    },
    made: () => field.value,
    remake: (made) => { field.value = made; },
    take() {
      if (isLong && field.value !== "") typed();
      else if (first !== undefined && first !== null) answer(first);
      else say("Nothing is suggested for this row: choose a number.");
    },
    key(event, action, digit) {
      if (isLong && (digit !== null || action === "find")) {
        field.value = digit ?? "";
        field.focus();
        return true;
      }
      const item = digit === null ? undefined : items.find(({ key }) => key === String(digit));
      if (item) answer(item.name);
      return item !== undefined;
    },
    help: [[digits ? `${points[0]} to ${points.at(-1)}` : "digits", "Answer with a point of the scale"]],
  };
}

export function nearest(points, value) {
  return points.reduce((best, point) => (Math.abs(point - value) < Math.abs(best - value) ? point : best));
}
