// Which key does what. In: keyboard events. Out: names of actions and digits. What people changed is kept in
// localStorage: their own keys, and whether single keys do anything at all (WCAG 2.2, 2.1.4).

import { browserStorage } from "./outbox.js";

const STORED = "sparklabel:keys";

export const ACTIONS = {
  take: { key: "Enter", what: "Take the first suggestion, or send what is chosen" },
  find: { key: "/", what: "Find a label by typing" },
  skip: { key: "s", what: "Skip the row" },
  undo: { key: "u", what: "Undo the last answer" },
  flag: { key: "f", what: "Flag the row for a lead" },
  note: { key: "n", what: "Write a note" },
  guidelines: { key: "g", what: "Show or hide the guidelines" },
  back: { key: "ArrowLeft", what: "Back through your answers" },
  forward: { key: "ArrowRight", what: "Forward, to the row that waits" },
  all: { key: "a", what: "Show all of a long text" },
  help: { key: "?", what: "Show all keys" },
  yes: { key: "y", what: "They match", kinds: ["matching"] },
  no: { key: "n", what: "They do not match", kinds: ["matching"] },
  none: { key: "0", what: "The text has no answer", kinds: ["answering"] },
  edit: { key: "e", what: "Write in the answer's first field", kinds: ["extraction", "generation", "answering"] },
  nextWord: { key: "w", what: "To the next word", kinds: ["entities", "answering"] },
  previousWord: { key: "b", what: "To the word before", kinds: ["entities", "answering"] },
  remove: { key: "x", what: "Remove the entity", kinds: ["entities"] },
};

export class Keys {
  // given: the server's keys by action, which replace the ones above.
  constructor(kind, given = {}) {
    this.names = Object.keys(ACTIONS).filter((name) => ACTIONS[name].kinds?.includes(kind) ?? true);
    this.defaults = Object.fromEntries(this.names.map((name) => [name, given?.[name] ?? ACTIONS[name].key]));
    // Answers come first: where n is "no", a note has another key.
    if (kind === "matching" && this.defaults.note === this.defaults.no) this.defaults.note = "m";
    this.storage = browserStorage();
    const stored = this.#read();
    this.areOn = stored.on !== false;
    this.own = stored.keys ?? {};
  }

  key(name) {
    const own = this.own[name];
    return own !== undefined && this.names.includes(name) ? own : this.defaults[name];
  }

  // The action of a keyboard event, or null. While single keys are off, only keys without a character act.
  action(event) {
    const pressed = keyName(event);
    if (!this.areOn && isCharacter(pressed)) return null;
    return this.names.find((name) => this.key(name) === pressed) ?? null;
  }

  // The digit of a keyboard event, or null; also of the row of digits of a keyboard on which digits need Shift.
  digit(event) {
    if (!this.areOn || event.ctrlKey || event.metaKey || event.altKey) return null;
    if (/^[0-9]$/.test(event.key)) return Number(event.key);
    const code = /^Digit([0-9])$/.exec(event.code ?? "");
    return code && !event.shiftKey && this.action(event) === null ? Number(code[1]) : null;
  }

  // Gives an action a key. Returns the action that has it already, which then keeps it; or null.
  change(name, pressed) {
    const owner = this.names.find((other) => other !== name && this.key(other) === pressed);
    if (owner) return owner;
    this.own[name] = pressed;
    this.#write();
    return null;
  }

  reset() {
    this.own = {};
    this.#write();
  }

  switch(areOn) {
    this.areOn = areOn;
    this.#write();
  }

  #read() {
    try {
      return JSON.parse(this.storage?.getItem(STORED) ?? "{}") ?? {};
    } catch {
      return {};
    }
  }

  #write() {
    try {
      this.storage?.setItem(STORED, JSON.stringify({ on: this.areOn, keys: this.own }));
    } catch {
      // They hold until the page is left.
    }
  }
}

// "a", "?", "ArrowLeft", "Ctrl+Enter", "Shift+ArrowLeft". Shift is part of a character, not named beside it.
export function keyName(event) {
  const shift = event.shiftKey && !isCharacter(event.key);
  const held = [[event.ctrlKey || event.metaKey, "Ctrl"], [event.altKey, "Alt"], [shift, "Shift"]];
  const key = isCharacter(event.key) && !event.shiftKey ? event.key.toLowerCase() : event.key;
  return [...held.filter(([is]) => is).map(([, name]) => name), key].join("+");
}

export const isModifier = (event) => ["Shift", "Control", "Alt", "Meta", "AltGraph"].includes(event.key);

const isCharacter = (key) => [...key].length === 1;
