"""What a pass did, or would do."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sparklabel.labeling.limits import DRIFT, MAX_ERROR_RATIO, MAX_SECONDS, NOT_BEGUN
from sparklabel.labels.status import ANSWERED

_STOPS = {
    MAX_ERROR_RATIO: "the engine failed on too many inputs",
    MAX_SECONDS: "the time limit was reached",
    DRIFT: "nothing was written",
    NOT_BEGUN: "the pass of another task ended the call",
}
_GO_ON = ("call again to continue", "on_drift='ignore' accepts the answers")


@dataclass(frozen=True, slots=True, kw_only=True)
class PassReport:
    """The outcome of one call of `label_table`; `str()` of it is a summary to print.

    `states` counts the table's rows by state before the pass (see labels.row_state_sql); `by_status` the rows merged.
    `pending` is what there was to do, `labeled` the rows written. `inputs_per_second` and `prompt_tokens` count what
    the model computed in this call: equal inputs once, answers taken over from a pass that died not at all.
    `kept_older` rows keep an older answer to the same input, because the engine failed on a new one: still pending.
    `failure` is what the engine said of one of the rows that it failed on. `stopped` is the limit that ended the pass
    early (`max_error_ratio`, `max_seconds`, `on_drift`; `not_begun` where another task's pass ended the call), or
    empty; `drift` says how answers shifted, where that is more than chance.
    `earlier_task` says that the model was fine-tuned with other instructions or examples than the task has now.
    `examples` says which examples the prompts had, where the task takes them from a table.
    `cached_inputs` had an answer in the cache; `cache_problem` says why it could not be used. `conflicts_retried`
    counts commits that other writers were faster than, and `rewritten` says what deletion vectors would spare, where
    that is much.
    `cost` is in the currency of the prices that were given, and `run_id` the pass's MLflow run. Of several tasks in one
    call each has its own time, and its part of what they share; `conflicts_retried` and `rewritten` are the call's.
    With `dry_run`, `new_corrections` counts those that would be stamped, `refused` says why the pass would be,
    `prompt_tokens` is an estimate and `estimated_seconds` follows from the table's last pass, where there was one.
    """

    table: str
    task: str
    model: str
    task_fingerprint: str
    pass_id: str
    dry_run: bool
    version_before: int
    version_after: int
    states: Mapping[str, int]
    pending: int
    distinct_inputs: int
    labeled: int = 0
    resumed_inputs: int = 0
    cached_inputs: int = 0
    cache_problem: str = ""
    by_status: Mapping[str, int] = field(default_factory=dict)
    human_kept: int = 0
    human_input_changed: int = 0
    corrections_stamped: int = 0
    new_corrections: int = 0
    refused: str = ""
    conflicts_retried: int = 0
    kept_older: int = 0
    new_model_would_add: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    inputs_per_second: float | None = None
    estimated_seconds: float | None = None
    cost: float | None = None
    rewritten: str = ""
    failure: str = ""
    interrupted: bool = False
    stopped: str = ""
    drift: str = ""
    earlier_task: bool = False
    examples: str = ""
    run_id: str | None = None

    @property
    def cost_per_1000_rows(self) -> float | None:
        """Of the rows that were written, or would be."""
        rows = self.pending if self.dry_run else self.labeled
        return None if self.cost is None or not rows else 1000 * self.cost / rows

    def figures(self) -> dict[str, float | None]:
        """The numbers, for a run's metrics."""
        counts = {"labeled": self.labeled, "pending": self.pending, "human_kept": self.human_kept,
                  "resumed_inputs": self.resumed_inputs, "cached_inputs": self.cached_inputs,
                  "corrections_stamped": self.corrections_stamped,
                  "conflicts_retried": self.conflicts_retried}  # fmt: skip
        by_status = {f"status.{status}": rows for status, rows in self.by_status.items()}
        return counts | by_status | {"seconds": self.seconds, "cost": self.cost}

    def __str__(self) -> str:
        return "\n".join((self._headline(), *(f"  {line}" for line in self._details())))

    def _headline(self) -> str:
        where = f"{self.table}: task {self.task}, model {self.model}"
        if self.dry_run:
            return f"{where}\n  would label {self.pending:,} rows ({self.distinct_inputs:,} distinct inputs)"
        if not self.pending and not self.corrections_stamped:
            return f"{where}\n  nothing to do (version {self.version_after})"
        before = "none" if self.version_before < 0 else self.version_before
        without = sum(rows for status, rows in self.by_status.items() if status not in ANSWERED)
        labeled = f"labeled {self.labeled - without:,} rows" + (
            f", {without:,} without an answer" if without else ""
        )
        return f"{where}\n  {labeled}; version {before} -> {self.version_after}"

    def _details(self) -> list[str]:
        lines = ["rows before: " + _counts(self.states)]
        if self.by_status:
            lines.append("written: " + _counts(self.by_status))
        if not self.dry_run and self.pending > self.labeled:
            lines.append(f"{self.pending - self.labeled:,} pending rows are not labeled yet")
        if self.resumed_inputs:
            lines.append(f"{self.resumed_inputs:,} answers were taken over from a pass that did not finish")
        if self.cache_problem:
            lines.append(self.cache_problem)
        if self.cached_inputs:
            lines.append(f"{self.cached_inputs:,} answers were in the cache")
        if self.new_corrections:
            lines.append(f"corrections that would be attributed to people: {self.new_corrections:,}")
        if self.refused:
            lines.append(f"the pass would be refused: {self.refused}")
        if self.corrections_stamped:
            lines.append(f"corrections attributed to people: {self.corrections_stamped:,}")
        if self.kept_older:
            lines.append(f"{self.kept_older:,} rows keep their older answer because the engine failed")
        if self.human_kept:
            lines.append(f"{self.human_kept:,} human answers were kept")
        if self.human_input_changed:
            lines.append(
                f"{self.human_input_changed:,} of them answer an input that has changed since: review them"
            )
        if self.new_model_would_add:
            lines.append(
                f"{self.new_model_would_add:,} rows have another model's answer: relabel='model' renews them"
            )
        if self.dry_run and self.pending:
            time = f", about {max(1, self.estimated_seconds):,.0f} s" if self.estimated_seconds else ""
            lines.append(
                f"about {self.prompt_tokens:,} prompt tokens{time or ', time unknown before a first pass'}"
            )
        elif self.inputs_per_second:
            lines.append(
                f"{self.seconds:,.1f} s, {self.inputs_per_second:,.1f} inputs/s, {self.prompt_tokens:,} prompt tokens"
            )
        if self.cost is not None and self.cost_per_1000_rows is not None:
            would = "would cost about" if self.dry_run else "cost"
            lines.append(f"{would} {self.cost:,.2f}, {self.cost_per_1000_rows:,.3f} for 1,000 rows")
        if self.conflicts_retried:
            lines.append(
                f"{self.conflicts_retried:,} commits conflicted with other writers and were repeated"
            )
        if self.rewritten:
            lines.append(self.rewritten)
        if self.run_id:
            lines.append(f"MLflow run {self.run_id}")
        if self.examples:
            lines.append(self.examples)
        if self.earlier_task:
            lines.append(
                f"{self.model} was fine-tuned with an earlier version of the task and answers with the prompt of then; "
                "fine-tune again to apply the new instructions"
            )
        if self.drift:
            lines.append(self.drift)
        if self.failure:
            lines.append(f"the engine failed, for example: {self.failure}")
        if self.stopped:
            lines.append(f"stopped: {_STOPS[self.stopped]} ({self.stopped}); {_GO_ON[self.stopped == DRIFT]}")
        if self.interrupted:
            lines.append("interrupted: call again to continue where it stopped")
        return lines


def _counts(counts: Mapping[str, int]) -> str:
    return (
        ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in sorted(counts.items())) or "none"
    )
