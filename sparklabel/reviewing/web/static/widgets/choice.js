// Classification: one key, one label. Up to nine labels keep their keys and places, and the suggestion is marked. Of
// more, the five most probable come first, and the finder has all of them. Where nothing is suggested, labels are in the
// task's order; beyond nine they then have no keys, so that a habit ("1 is right") cannot answer a row that judges.

import { h } from "../dom.js";
import { Finder } from "../finder.js";
import { plainTexts } from "./inputs.js";
import { LabelButtons } from "./labels.js";

const KEYED = 9;
const RANKED = 5;
const LISTED = 100; // labels that are listed without a suggestion

export function choice(context) {
  const { task, keys, answer, say, leave } = context;
  const names = task.labels.map((label) => label.name);
  const isRanked = names.length > KEYED;
  const buttons = new LabelButtons({ press: (name) => answer(name), label: "Labels" });
  const finder = new Finder(task.labels, { take: answer, leave, key: keys.key("find") });
  const element = h("div", {}, finder.element, buttons.element);
  let items = [];
  let suggested;
  finder.element.hidden = !isRanked;

  const listed = (choices, own) => {
    if (!isRanked) return names;
    const ranked = [...new Set([suggested, ...choices.map(({ value }) => value)])]
      .filter((name) => names.includes(name)).slice(0, RANKED);
    if (own !== undefined && !ranked.includes(own)) ranked.push(own);
    return ranked.length > 0 ? ranked : names.slice(0, names.length > LISTED ? 0 : LISTED);
  };

  return {
    element,
    texts: plainTexts(context),
    draw(row, start) {
      const suggestion = row.suggestion;
      const choices = suggestion?.choices ?? [];
      suggested = suggestion ? suggestion.value : undefined;
      const own = start?.from === "given" ? start.value : undefined;
      const hasKeys = !isRanked || suggestion || own !== undefined;
      const shares = new Map(choices.map(({ value, probability }) => [value, probability]));
      items = listed(choices, own).map((name, number) => ({
        name,
        key: hasKeys && number < KEYED ? String(number + 1) : null,
        isSuggested: name === suggested,
        isOwn: name === own,
        mark: name === own ? "your answer" : name === suggested ? "suggested" : "",
        share: name === suggested ? suggestion.confidence : isRanked ? shares.get(name) : null,
      }));
      buttons.element.classList.toggle("many", items.length > KEYED);
      buttons.element.classList.toggle("ranked", isRanked && items.length <= KEYED);
      buttons.draw(items);
      finder.clear();
    },
    take() {
      const own = items.find((item) => item.isOwn);
      if (own) answer(own.name);
      else if (suggested !== undefined && names.includes(suggested)) answer(suggested);
      else say("Nothing is suggested for this row: choose a label.");
    },
    key(event, action, digit) {
      if (action === "find") {
        finder.element.hidden = false;
        finder.open();
        return true;
      }
      const item = digit === null ? undefined : items.find(({ key }) => key === String(digit));
      if (item) answer(item.name);
      else if (digit !== null && isRanked) say(`No label has this key here: press ${keys.key("find")} and type its name.`);
      return item !== undefined;
    },
    help: isRanked
      ? [["1 to 5", "Answer with one of the most probable labels"]]
      : [[`1 to ${names.length}`, "Answer with a label"]],
  };
}
