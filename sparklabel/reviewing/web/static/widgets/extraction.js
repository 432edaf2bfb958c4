// Extraction: a form of fields. The words of the field that is entered are marked in the text; words that are selected
// in the text go into that field. Ctrl+0: the text does not say.

import { textBox } from "../texts.js";
import { FieldsForm } from "./fields.js";
import { inputBox } from "./inputs.js";
import { MarkedText } from "./marked_text.js";

const MOST = 50; // places that are marked

export function extraction(context) {
  const { task, keys, answer, say } = context;
  const texts = task.inputs.map(() => {
    const marked = new MarkedText({ selected: () => put(marked), isClickable: false });
    return marked;
  });
  const form = new FieldsForm(task.fields, { changed: (name, text) => mark(text) });
  let isWarned = false;

  function mark(text) {
    const parts = text.split("\n").map((part) => part.trim()).filter(Boolean);
    for (const marked of texts.filter(({ box }) => box?.isConnected)) {
      marked.marks = parts.flatMap((part) => places(marked.text, part))
        .map((place) => ({ ...place, class: "evidence", isStill: true }));
      marked.paint();
    }
  }

  function put(marked) {
    if (!marked.range) return;
    const words = marked.text.slice(marked.range.start, marked.range.end);
    marked.range = null;
    const field = form.put(words);
    if (field) field.control.focus();
    else say("Enter a field first, then select its words.");
  }

  function take() {
    if (form.isEmpty && context.isBlind() && !isWarned) {
      isWarned = true;
      return say("All fields are empty. Once more, if the text says nothing of them.");
    }
    const value = form.take();
    if (value) return answer(value);
    return say("A field cannot be read.");
  }

  return {
    ...form.parts(take),
    texts: (row) => row.inputs.map((text, number) => {
      const draw = (box, shown) => {
        texts[number].marks = [];
        texts[number].show(box, shown);
      };
      return inputBox(task.inputs, number, textBox(text, { key: keys.key("all"), draw }));
    }),
    draw(row, start) {
      isWarned = false;
      form.show(start?.value);
    },
    take,
    help: [["Tab", "From field to field"], ["Ctrl 0", `"Not there", in a field`], ["Mouse", "Select words: they go into the field"]],
  };
}

// Numbers stand in texts with and without separators: 1250.0 is also found as 1,250.
function places(text, part) {
  const forms = [part, ...(/^-?\d+(\.\d+)?$/.test(part) ? [part.replace(/\.0+$/, ""), Number(part).toLocaleString("en"), Number(part).toFixed(2)] : [])];
  const folded = text.toLowerCase();
  const isAligned = folded.length === text.length; // lower case may be longer than upper case
  for (const form of new Set(forms)) {
    const [where, what] = isAligned ? [folded, form.toLowerCase()] : [text, form];
    const found = [];
    for (let start = where.indexOf(what); start >= 0 && found.length < MOST; start = where.indexOf(what, start + what.length)) {
      found.push({ start, end: start + what.length });
    }
    if (found.length > 0) return found;
  }
  return [];
}
