// Events that the server has not acknowledged. In: events. Out: requests, one at a time and in order, and what became
// of each event. They are kept in localStorage, an item each, so that they survive a reload and a crash, and so that
// two tabs do not overwrite each other's. Without localStorage they are in memory only, and `isDurable` says so.

const PAUSES = [500, 1000, 2000, 4000, 8000, 15_000];
const MOST = 100; // events of a request
const LARGEST = 500_000; // UTF-16 units of a request; the server takes 1 MB of UTF-8

export class Outbox {
  // send: (events) => the answer of /events. onChange: () => void. onAnswer: (answer) => void, after each request.
  // onRefused: (event, why) => void.
  constructor({ prefix, send, onChange, onAnswer, onRefused, storage = browserStorage() }) {
    this.prefix = prefix;
    this.send = send;
    this.onChange = onChange;
    this.onAnswer = onAnswer;
    this.onRefused = onRefused;
    this.storage = storage;
    this.isDurable = storage !== null;
    this.problem = null; // the last request's error; null once one succeeded
    this.waiting = this.#stored(); // {key, event} in order
    this.batch = MOST;
    this.failures = 0;
    this.isSending = false;
    this.timer = null;
    this.empty = []; // who waits for the outbox to be empty
    this.started = Date.now();
    this.count = 0;
    // The pauses grow, so a network that is back is worth an attempt at once.
    addEventListener("online", () => this.soon(0));
    addEventListener("visibilitychange", () => document.hidden || this.problem === null || this.soon(0));
  }

  get size() {
    return this.waiting.length;
  }

  // The ids of rows whose answers wait in here. One that is only flagged, or that was taken back, is still to be asked.
  get rows() {
    const found = new Set();
    for (const { event } of this.waiting) {
      if (event.kind === "undo") found.delete(event.id);
      else if (event.kind !== "flag") found.add(event.id);
    }
    return found;
  }

  add(event) {
    const order = `${this.started.toString().padStart(14, "0")}-${(this.count++).toString().padStart(7, "0")}`;
    const item = { key: `${this.prefix}${order}-${event.event_id}`, event };
    this.waiting.push(item);
    this.#store(item);
    this.onChange();
    // After the next row is painted: what a person sees comes first.
    if (this.problem === null) this.soon(20);
  }

  // Resolves when nothing waits.
  whenEmpty() {
    if (this.size === 0) return Promise.resolve();
    this.soon(0);
    return new Promise((resolve) => this.empty.push(resolve));
  }

  soon(pause) {
    if (this.isSending) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#flush(), pause);
  }

  async #flush() {
    if (this.isSending || this.size === 0) return;
    this.isSending = true;
    const items = this.#nextBatch();
    let answer = null;
    try {
      answer = await this.send(items.map(({ event }) => event));
      this.#acknowledge(items, answer.outcomes ?? []);
      this.#succeeded();
    } catch (error) {
      answer = null;
      this.#failed(items, error);
    }
    this.isSending = false;
    if (this.size > 0) this.soon(this.#pause());
    else for (const resolve of this.empty.splice(0)) resolve();
    this.onChange();
    // Last: whatever is done with the answer, what waits is on its way.
    if (answer) this.onAnswer(answer);
  }

  #nextBatch() {
    let length = 0;
    const items = [];
    for (const item of this.waiting.slice(0, this.batch)) {
      length += JSON.stringify(item.event).length;
      if (items.length > 0 && length > LARGEST) break;
      items.push(item);
    }
    return items;
  }

  #acknowledge(items, outcomes) {
    const found = new Map(outcomes.map((outcome) => [outcome.event_id, outcome]));
    for (const item of items) {
      const outcome = found.get(item.event.event_id);
      if (!outcome) continue; // not acknowledged: it stays, and is sent again
      this.#remove(item);
      if (outcome.outcome === "refused") this.onRefused(item.event, outcome.why ?? "");
    }
    if (!items.some((item) => found.has(item.event.event_id))) throw new Error("The server acknowledged nothing.");
  }

  #succeeded() {
    this.problem = null;
    this.failures = 0;
    this.batch = MOST;
  }

  #failed(items, error) {
    this.problem = error;
    this.failures += 1;
    if (![400, 413, 422].includes(error.status)) return;
    // Something in it cannot be taken. Halving finds the event, and the others are not lost with it.
    if (items.length > 1) {
      this.batch = Math.ceil(items.length / 2);
    } else {
      this.#remove(items[0]);
      this.onRefused(items[0].event, error.message);
      this.batch = MOST;
    }
    this.failures = 0;
  }

  #pause() {
    if (this.failures === 0) return 0;
    const pause = PAUSES[Math.min(this.failures, PAUSES.length) - 1];
    return pause * (0.8 + 0.4 * Math.random()); // so that ten people do not come back in the same instant
  }

  #remove(item) {
    this.waiting = this.waiting.filter((other) => other !== item);
    try {
      this.storage?.removeItem(item.key);
    } catch {
      // It is sent once more after a reload, and is one event all the same: it has its id.
    }
  }

  #store({ key, event }) {
    try {
      this.storage?.setItem(key, JSON.stringify(event));
    } catch {
      this.isDurable = false; // full
    }
  }

  #stored() {
    const found = [];
    for (let number = 0; number < (this.storage?.length ?? 0); number++) {
      const key = this.storage.key(number);
      if (!key.startsWith(this.prefix)) continue;
      try {
        found.push({ key, event: JSON.parse(this.storage.getItem(key)) });
      } catch {
        // Not ours, though it is named like ours.
      }
    }
    return found.sort((one, other) => (one.key < other.key ? -1 : 1));
  }
}

// localStorage, or null where the browser has none, or does not let us write.
export function browserStorage() {
  try {
    localStorage.setItem("sparklabel:probe", "1");
    localStorage.removeItem("sparklabel:probe");
    return localStorage;
  } catch {
    return null;
  }
}
