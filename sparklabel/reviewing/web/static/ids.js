// IDs of events: an event that comes twice is one event. Out: texts that are new.

// On plain http from another machine, browsers have no randomUUID.
export function newId() {
  return crypto.randomUUID?.() ?? [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
