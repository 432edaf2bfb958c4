// What is reviewed, and in which order; nothing of it is drawn here. In: what a person does, what the server says. Out:
// the row to show, events for the outbox. The row to show changes at once, before any request: twenty rows are ahead.
// Every request says whose page it is, as a browser may be signed in as somebody else by now.

import { getJson, postJson } from "./api.js";
import { newId } from "./ids.js";
import { Outbox } from "./outbox.js";

const AHEAD = 20;
const REFILL_AT = 8;
const HISTORY = 50;
const KEEP_LEASES = 40_000; // ms; a lease lasts 120 s
const ASK_AGAIN = [1000, 2000, 4000, 8000, 15_000]; // ms, while there are no rows

export class Session {
  // on: {row(), rows(), saving(), progress(progress), refused(event, why), unsent()}. `unsent` is what was done to the
  // row on the screen and not sent: {isFlagged, note, made}.
  constructor({ task, reviewer, prefix, on }) {
    this.path = `/api/${encodeURIComponent(task)}`;
    this.reviewer = reviewer;
    this.on = on;
    this.ahead = [];
    this.past = []; // {row, kind, value, note, event, earlier}: what this person did, oldest first
    this.position = null; // the number in `past` that is looked at; null for the row that waits
    this.live = null; // the row that waits for an answer: {row, draft}
    this.unsent = new Map(); // by row, what was done to it before it left the screen: {row, isFlagged, note, made}
    this.filter = {};
    this.note = null; // what the server says beside the rows
    this.isWaiting = true; // for the first answer to "which rows?"
    this.problem = null; // why no rows come
    this.isSaving = false;
    this.isAsking = false;
    this.empty = 0;
    this.lastContact = Date.now();
    this.answered = new Set(); // rows that must not come again, though the server may not know it yet
    this.outbox = new Outbox({
      prefix,
      send: (events) => this.#sendEvents(events),
      onChange: () => on.saving(),
      onAnswer: (answer) => this.#answerCame(answer),
      onRefused: (event, why) => this.#refused(event, why),
    });
  }

  async start() {
    // What is left of an earlier visit is sent first, so that its rows are not given out again.
    for (const id of this.outbox.rows) this.answered.add(id);
    if (this.outbox.size > 0) this.outbox.soon(0);
    await this.#refill();
    this.#readHistory();
    setInterval(() => this.#keepAlive(), 5000);
  }

  // The row on the screen: {row, draft, given, unsent}. `given` is what this person answered before; null without a row.
  get current() {
    if (this.isSaving) return null;
    const { row, draft, kind, value, note } = this.position === null ? (this.live ?? {}) : this.past[this.position];
    const given = this.position === null ? null : { kind, value, note };
    return row ? { row, draft, given, unsent: this.unsent.get(row.id) } : null;
  }

  // The rows in this browser, whose leases the server renews.
  get have() {
    const shown = this.live ? [this.live.row.id] : [];
    return [...shown, ...this.ahead.map((row) => row.id)];
  }

  // Answers, or skips, the row on the screen, and shows the next one.
  finish(kind, { value = null, note = null, seconds, shown, isFlagged }) {
    const { row } = this.current;
    if (isFlagged) this.#emit("flag", row, { note, seconds, shown });
    const event = this.#emit(kind, row, { value, note, seconds, shown });
    this.answered.add(row.id);
    this.unsent.delete(row.id);
    const entry = { row, kind, value, note, event, earlier: null };
    if (this.position === null) this.past.push(entry);
    else this.past[this.position] = { ...entry, earlier: this.past[this.position] };
    if (this.past.length > HISTORY) this.past.shift();
    if (this.position === null) this.live = null;
    this.position = null;
    if (this.outbox.isDurable) this.#next();
    else this.#nextOnceSaved();
  }

  // A flag belongs to the row, whether or not it is answered: it is not lost with the page.
  keepFlags() {
    this.#keep();
    for (const { row, isFlagged, note } of this.unsent.values()) {
      if (isFlagged) this.#emit("flag", row, { note });
    }
  }

  // Takes back the answer on the screen, or else the last one, and shows its row. Returns whether there was one.
  undo(shown) {
    const number = this.position ?? this.past.length - 1;
    const entry = this.past[number];
    if (!entry) return false;
    this.#keep();
    this.#emit("undo", entry.row, { shown });
    this.past.splice(number, 1);
    this.answered.delete(entry.row.id);
    if (this.live) this.ahead.unshift(this.live.row);
    this.live = { row: entry.row, draft: entry.kind === "answer" ? entry.value : undefined };
    this.position = null;
    this.on.row();
    return true;
  }

  // Goes through what was done: -1 back, 1 forward. Returns whether there was something.
  go(step) {
    const at = (this.position ?? this.past.length) + step;
    if (at < 0 || at > this.past.length || (at === this.past.length && this.position === null)) return false;
    this.#keep();
    this.position = at === this.past.length ? null : at;
    this.on.row();
    return true;
  }

  // Shows rows that fit. The ones ahead are given back: their leases are not renewed.
  async narrow(filter) {
    this.#keep();
    this.filter = filter;
    this.ahead = [];
    this.live = null;
    this.position = null;
    this.isWaiting = true;
    this.on.row();
    await this.#refill();
  }

  // The row on the screen is about to leave it without an answer: its flag, its note and a half-made answer stay with it.
  #keep() {
    const { current } = this;
    if (!current) return;
    const unsent = this.on.unsent();
    if (unsent) this.unsent.set(current.row.id, { row: current.row, ...unsent });
    else this.unsent.delete(current.row.id);
  }

  #next() {
    if (this.live === null && this.ahead.length > 0) this.live = { row: this.ahead.shift(), draft: undefined };
    if (this.position === null) this.on.row(); // an older row that is looked at stays as it is
    if (this.ahead.length < REFILL_AT) setTimeout(() => this.#refill(), 30); // once the row is painted
  }

  // In a browser that keeps nothing, a person waits for the acknowledgement.
  async #nextOnceSaved() {
    this.isSaving = true;
    this.on.row();
    await this.outbox.whenEmpty();
    this.isSaving = false;
    this.position = null;
    this.#next();
  }

  // Returns the event's id. `before` is the answer that the person saw, by which the server knows what this one replaces.
  #emit(kind, row, { value = null, note = null, seconds = null, shown = null }) {
    const event = newId();
    const { id, key, before = null } = row;
    this.outbox.add({ event_id: event, id, key, kind, value, seconds, note: note || null, shown, before });
    return event;
  }

  // Whether more rows may come with the answer that is awaited: the one before had some.
  get isLoading() {
    return this.isWaiting || (this.isAsking && this.empty === 0);
  }

  async #refill() {
    if (this.isAsking) return;
    this.isAsking = true;
    clearTimeout(this.again);
    const filter = this.filter;
    const body = { reviewer: this.reviewer, have: this.have, count: Math.max(0, AHEAD - this.ahead.length) };
    if (Object.keys(filter).length > 0) body.filter = filter;
    try {
      const found = await postJson(`${this.path}/next`, body);
      if (filter === this.filter) this.#rowsCame(found);
    } catch (error) {
      this.problem = error;
      this.empty += 1;
    }
    this.isAsking = false;
    this.on.rows();
    if (filter !== this.filter) this.#refill();
    else if (this.ahead.length < REFILL_AT && this.empty > 0) this.#askAgain();
  }

  #rowsCame({ rows, note }) {
    this.#contact();
    this.problem = null;
    this.isWaiting = false;
    this.note = note ?? null;
    const known = new Set(this.have);
    const fresh = rows.filter((row) => !known.has(row.id) && (row.moved || !this.answered.has(row.id)));
    this.empty = fresh.length > 0 ? 0 : this.empty + 1;
    this.ahead.push(...fresh);
    if (this.live === null) this.#next();
  }

  #askAgain() {
    clearTimeout(this.again);
    const pause = ASK_AGAIN[Math.min(this.empty, ASK_AGAIN.length) - 1];
    this.again = setTimeout(() => this.#refill(), pause);
  }

  async #sendEvents(events) {
    return postJson(`${this.path}/events`, { reviewer: this.reviewer, events, have: this.have });
  }

  #answerCame({ outcomes, suggestions, progress }) {
    this.#contact();
    // A row on the screen never changes under one's eyes.
    for (const row of this.ahead) {
      if (!row.blind && suggestions?.[row.id]) row.suggestion = suggestions[row.id];
    }
    const again = (outcomes ?? []).flatMap((outcome) => outcome.row ?? []);
    for (const row of again) {
      this.ahead = [row, ...this.ahead.filter((other) => other.id !== row.id)];
    }
    if (again.length > 0 && this.live === null) this.#next();
    if (progress) this.on.progress(progress);
    // The server is back: what else failed meanwhile is worth an attempt.
    if (this.problem !== null) this.#refill();
  }

  // What was refused is not in the past, and its row may come again. The screen stays on the row that it shows.
  #refused(event, why) {
    const { position } = this;
    const seen = position === null ? null : this.past[position];
    const past = this.past.map((entry) => without(entry, event.event_id));
    const isOther = seen !== null && past[position] !== seen;
    if (isOther) this.#keep();
    if (seen !== null) this.position = past[position] ? past.slice(0, position).filter(Boolean).length : null;
    this.past = past.filter(Boolean);
    if (["answer", "skip"].includes(event.kind) && !this.outbox.rows.has(event.id)) this.answered.delete(event.id);
    if (isOther) this.on.row();
    this.on.refused(event, why);
  }

  async #readHistory() {
    try {
      const found = await getJson(`${this.path}/mine`);
      const entries = new Map();
      for (const entry of found.sort((one, other) => one.seq - other.seq)) {
        entries.delete(entry.row.id);
        if (["answer", "skip"].includes(entry.kind)) entries.set(entry.row.id, entry);
      }
      for (const { row } of this.past) entries.delete(row.id);
      const before = [...entries.values()].map(({ row, kind, value }) => ({ row, kind, value, note: null, event: null, earlier: null }));
      const kept = before.slice(-(HISTORY - this.past.length));
      this.past.unshift(...kept);
      if (this.position !== null) this.position += kept.length;
    } catch {
      // Undo and arrows then reach what was answered on this page.
    }
  }

  #contact() {
    this.lastContact = Date.now();
  }

  // Renews leases and progress while nothing else does.
  async #keepAlive() {
    if (document.hidden || Date.now() - this.lastContact < KEEP_LEASES) return;
    this.#contact();
    if (!this.isAsking && this.have.length > 0) this.#refill();
    try {
      this.on.progress(await getJson(`${this.path}/progress`));
    } catch {
      // The outbox and the rows say that there is no connection.
    }
  }
}

// What stands of an entry without one of its events: itself, the answer before that one, or null.
function without(entry, event) {
  if (entry === null) return null;
  if (entry.event === event) return entry.earlier;
  entry.earlier = without(entry.earlier, event);
  return entry;
}
