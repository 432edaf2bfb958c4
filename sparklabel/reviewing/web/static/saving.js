// What is saved, in words. In: the outbox, the server's progress. Out: {text, tone}; tone is "calm", "busy" or "warn".

import { Unreachable } from "./api.js";
import { plural } from "./dom.js";

const LATE = 120; // seconds after which it is worth saying that answers are not in the table yet

export function savingState(outbox, progress, problem) {
  const waiting = outbox.size === 0 ? "" : `${outbox.size.toLocaleString("en")} to save`;
  const error = outbox.problem ?? (problem?.isPassing ? null : problem); // rows that still load: said where they will be
  const safe = outbox.isDurable ? "safe here" : "keep this page open";
  if (error instanceof Unreachable) return { tone: "warn", text: waiting ? `${waiting}, ${safe}: no connection` : "No connection" };
  if (error) return { tone: "warn", text: `${waiting ? `${waiting}, ${safe}: ` : ""}${said(error)}` };
  if (waiting) return { tone: "busy", text: waiting };
  const { table_error: why = null, in_table_age_s: age = 0 } = progress ?? {};
  if (age >= LATE || (why && age > 0)) {
    const minutes = Math.max(1, Math.round(age / 60));
    return { tone: "warn", text: `Not in the table for ${plural(minutes, "minute")}, safe here`, why };
  }
  if (why) return { tone: "warn", text: "All saved, but the table does not answer", why };
  return { tone: "calm", text: "All saved" };
}

// Who is signed out, or may not do it, is told by the server what to do. An open tab then goes on by itself.
function said({ status, message, hint }) {
  return [401, 403].includes(status) && hint ? `${message} ${hint}` : message;
}
