// Which widget answers which kind of task. A widget is an object with:
//   element        the controls of the answer
//   texts(row)     elements with the row's texts, drawn before `draw`
//   draw(row, start)  shows a row. start: {value, from}: what the answer begins with, and whether that is "given" (by
//                  this person), a "draft" (taken back) or a "suggestion"; null for a row that has none of them
//   take()         Enter: sends what is suggested or chosen
//   key(event, action, digit)  returns whether the key was the widget's
//   made()         what is on the screen of the answer, as JSON; for kinds whose answer is not one key
//   remake(made)   shows it again, after the row was drawn
//   help           [[keys, what they do]]
// It calls context.answer(value) with a value as the task's JSON has it, and context.say(text) when it cannot.

import { answering } from "./answering.js";
import { choice } from "./choice.js";
import { entities } from "./entities.js";
import { extraction } from "./extraction.js";
import { generation } from "./generation.js";
import { matching } from "./matching.js";
import { multilabel } from "./multilabel.js";
import { rating } from "./rating.js";

const WIDGETS = {
  classification: choice, multilabel, matching, rating, entities, extraction, answering, generation,
};

export function widgetFor(context) {
  const make = WIDGETS[context.task.kind];
  if (!make) throw new Error(`There is no widget for tasks of kind ${context.task.kind}.`);
  return make(context);
}
