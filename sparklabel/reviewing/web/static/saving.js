// What is saved, in words. In: the outbox, the server's progress. Out: {text, tone}; tone is "calm", "busy" or "warn".

import { Refused, Unreachable } from "./api.js";
import { plural } from "./dom.js";

const LATE = 120; // seconds after which it is worth saying that answers are not in the table yet

export function savingState(outbox, progress, problem) {
  const waiting = outbox.size === 0 ? "" : `${outbox.size.toLocaleString("en")} to save`;
  const error = outbox.problem ?? (problem?.isPassing ? null : problem); // rows that still load: said where they will be
  const safe = outbox.isDurable ? "safe here" : "keep this page open";
  if (error instanceof Refused && [401, 403].includes(error.status)) {
    const kept = waiting ? `${waiting}, ${safe}: ` : "";
    return { tone: "warn", text: `${kept}signed out. Open the review's link again, in another tab` };
  }
  if (error instanceof Unreachable) return { tone: "warn", text: waiting ? `${waiting}, ${safe}: no connection` : "No connection" };
  if (error) return { tone: "warn", text: `${waiting ? `${waiting}, ${safe}: ` : ""}${error.message}` };
  if (waiting) return { tone: "busy", text: waiting };
  if (progress?.waiting_to_save > 0 && (progress.table_error || progress.in_table_age_s >= LATE)) {
    const minutes = Math.max(1, Math.round((progress.in_table_age_s ?? 0) / 60));
    return { tone: "warn", text: `Not in the table for ${plural(minutes, "minute")}, safe here`, why: progress.table_error };
  }
  return { tone: "calm", text: "All saved" };
}
