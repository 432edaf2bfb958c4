// A form of the task's fields. In: a value by field. Out: the same, as the task's JSON has it; null for what the text
// does not say. Shared by extraction and by generation with fields.

import { h, title } from "../dom.js";

const TYPES = {
  integer: { inputmode: "numeric", says: "whole number" },
  number: { inputmode: "decimal", says: "number" },
  date: { placeholder: "YYYY-MM-DD", says: "date as YYYY-MM-DD" },
  string: {},
};

export class FieldsForm {
  // changed: (field name, text) => void, while somebody writes or enters a field.
  constructor(fields, { changed = () => {} } = {}) {
    this.fields = fields.map((field) => ({ ...field, control: null }));
    this.changed = changed;
    this.active = null;
    this.element = h("div", { class: "fields" }, ...this.fields.map((field) => this.#row(field)));
  }

  show(value) {
    for (const field of this.fields) {
      const part = value?.[field.name];
      field.control.value = part === null || part === undefined ? "" : field.many ? part.join("\n") : String(part);
      this.#problem(field, "");
    }
    this.active = null;
  }

  // What stands in the fields, whether or not it can be read.
  get texts() {
    return this.fields.map(({ control }) => control.value);
  }

  set texts(texts) {
    this.fields.forEach(({ control }, number) => { control.value = texts[number]; });
  }

  get isEmpty() {
    return this.fields.every(({ control }) => control.value.trim() === "");
  }

  // The value, or null if a field cannot be read: it then has the focus, and says why.
  take() {
    const value = {};
    let first = null;
    for (const field of this.fields) {
      try {
        value[field.name] = read(field, field.control.value);
        this.#problem(field, "");
      } catch (error) {
        this.#problem(field, error.message);
        first ??= field;
      }
    }
    first?.control.focus();
    return first ? null : value;
  }

  // What a widget has whose answer is this form: the form with its button, which takes the answer, and its keys.
  parts(take) {
    const send = h("button", { type: "submit", class: "button primary" }, h("kbd", {}, "Enter"), " Send");
    return {
      element: h("form", { novalidate: true, submit: (event) => { event.preventDefault(); take(); } },
        this.element, h("div", { class: "buttons" }, send)),
      made: () => this.texts,
      remake: (made) => { this.texts = made; },
      key: (event, action) => {
        if (action !== "edit") return false;
        this.focusFirst();
        return true;
      },
      fieldKey: (event) => event.ctrlKey && event.key === "0" && this.clear(event.target),
    };
  }

  focusFirst() {
    this.fields[0].control.focus();
    this.fields[0].control.select?.();
  }

  // Puts words of the text into the field that was entered last, or else into the first empty one.
  put(words) {
    const field = this.active ?? this.fields.find(({ control }) => control.value === "");
    if (!field || field.control.tagName === "SELECT") return null;
    const lines = field.many && field.control.value.trim() ? `${field.control.value.trimEnd()}\n` : "";
    field.control.value = lines + words.trim().replace(/\s+/g, " ");
    this.changed(field.name, field.control.value);
    return field;
  }

  clear(control) {
    const field = this.fields.find((other) => other.control === control);
    if (!field) return false;
    control.value = "";
    this.changed(field.name, "");
    return true;
  }

  #row(field) {
    const id = `field-${field.name}`;
    const says = [field.description, field.enum ? "" : TYPES[field.type]?.says, field.many ? "a line each" : ""].filter(Boolean).join("; ");
    field.control = control(field, id);
    field.problem = h("p", { id: `${id}-problem`, class: "problem" });
    const enter = () => { this.active = field; this.changed(field.name, field.control.value); };
    field.control.addEventListener("focus", enter);
    field.control.addEventListener("input", enter);
    const nothing = h("button", {
      type: "button", class: "button small bare", "aria-label": `${title(field.name)}: not there`,
      click: () => { this.clear(field.control); field.control.focus(); },
    }, "not there");
    return h("div", { class: "field" }, h("label", { for: id }, title(field.name)),
      h("div", { class: "field-line" }, field.control, field.nullable === false ? null : nothing),
      h("p", { id: `${id}-says`, class: "hint" }, says), field.problem);
  }

  #problem(field, text) {
    field.problem.textContent = text;
    if (text) field.control.setAttribute("aria-invalid", "true");
    else field.control.removeAttribute("aria-invalid");
  }
}

function control(field, id) {
  const attributes = { id, name: field.name, "aria-describedby": `${id}-says ${id}-problem`, autocomplete: "off" };
  const options = field.type === "boolean" ? ["true", "false"] : field.enum;
  if (field.many) return h("textarea", { ...attributes, rows: 2, spellcheck: "false" });
  if (options?.length) {
    return h("select", attributes, h("option", { value: "" }, "not there"), ...options.map((option) => h("option", { value: option }, option)));
  }
  const { inputmode, placeholder } = TYPES[field.type] ?? {};
  return h("input", { ...attributes, type: "text", inputmode, placeholder, spellcheck: "false" });
}

// The value of a field's text. Throws an Error that says what is wrong.
function read(field, text) {
  if (!field.many) return readOne(field, text.trim());
  const items = text.split("\n").map((line) => line.trim()).filter(Boolean).map((line) => readOne(field, line));
  return items.length === 0 && field.nullable !== false ? null : items;
}

function readOne(field, text) {
  if (text === "") {
    if (field.nullable !== false) return null;
    if (field.type === "string" && !field.enum?.length) return "";
    throw new Error("This field must not be empty.");
  }
  if (field.enum?.length && !field.enum.includes(text)) throw new Error(`It is one of: ${field.enum.join(", ")}.`);
  if (field.type === "boolean") return text === "true";
  if (field.type === "integer" || field.type === "number") {
    const number = Number(text.replace(/^([^.,]*),([^.,]*)$/, "$1.$2"));
    if (!Number.isFinite(number)) throw new Error("This is not a number.");
    if (field.type === "integer" && !Number.isSafeInteger(number)) throw new Error("This is not a whole number.");
    return number;
  }
  if (field.type === "date" && !isDate(text)) throw new Error("This is not a date: write it as 2026-11-30.");
  return text;
}

function isDate(text) {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return false;
  const date = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().slice(0, 10) === text;
}
