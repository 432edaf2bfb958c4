"""What a pass did, or would do."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sparklabel.delta.snapshot import UNVERSIONED
from sparklabel.labeling.limits import DRIFT, MAX_ERROR_RATIO, MAX_SECONDS, NOT_BEGUN
from sparklabel.labels.status import ANSWERED
from sparklabel.redaction import printable, printable_lines
from sparklabel.texts import counted

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

    With several tasks, each report has the time of its own pass and its part of what they share;
    `conflicts_retried` and `rewritten` are the call's.

    Attributes:
        states: The table's rows by state before the pass; see `sparklabel.labels.predicates.row_state_sql`.
        unread: Which files were read, if those were left out that were there when a pass left no row pending. `states`,
            `human_kept`, `human_input_changed` and `new_model_would_add` are about the rows that were read. "" if all
            were.
        pending: The rows there were to label, and `distinct_inputs` the texts among them.
        labeled: The rows that were written, and `by_status` these by their status, in the order of its name.
        resumed_inputs: Inputs whose answer a pass that did not finish had staged.
        cached_inputs: Inputs whose answer was in the cache; `cache_problem` says why that could not be used.
        lost_answers: How many answers of people are only in an older version of the table, because it was made anew
            since, and how to put them back; "" if there are none.
        human_kept: Rows with a human answer; `human_input_changed` of them have another input by now.
        corrections_stamped: Plain UPDATEs that were attributed to people. In a dry run `new_corrections` counts those
            that would be, and `refused` says why the pass would be refused.
        kept_older: Rows that keep an older answer to the same input because the engine failed on the new one. They
            stay pending.
        overtaken: Rows that were asked and not written, because another writer answered or changed them meanwhile.
        new_model_would_add: Rows with another model's answer, which relabel="model" would relabel.
        prompt_tokens: What the model read in this call, each distinct input once; in a dry run an estimate.
        inputs_per_second: Distinct inputs that the model answered per second; None if it answered none.
        estimated_seconds: In a dry run, by the rate of the last pass; None if there was none.
        cost: In the currency of the prices that were given; None without prices.
        conflicts_retried: Commits that another writer preempted.
        rewritten: What deletion vectors would save, if that is much.
        by_model: With a fallback, the rows that were written by the model that answered them; else empty.
        fallback_below: With a fallback, the confidence below which it is asked; None in a dry run that would find it.
        fallback_cost: What the fallback alone would cost, by its tokens in this pass, or by the rate of its last pass
            alone; None if unknown.
        failure: The engine's error for one of the rows that it failed on.
        stopped: What ended the pass early: "max_error_ratio", "max_seconds", "on_drift", or "not_begun" if another
            task's pass ended the call; else "".
        drift: How the answers shifted from earlier passes, if by more than chance.
        leaning: What to do if nearly all of the first answers, at least 50, of a model that is not fine-tuned are one
            label and there are no earlier ones to compare them with; else "".
        earlier_task: Whether the model was fine-tuned with other instructions or examples than the task has now.
        examples: Which examples the prompts had, if the task takes them from a table; in a dry run, which table they
            would be read from.
        calibrator: What turned probabilities into confidences, and the run that fitted it; "" if nothing did.
        run_id: The pass's MLflow run; None without a store.
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
    by_model: Mapping[str, int] = field(default_factory=dict)
    fallback_below: float | None = None
    unread: str = ""
    lost_answers: str = ""
    human_kept: int = 0
    human_input_changed: int = 0
    corrections_stamped: int = 0
    new_corrections: int = 0
    refused: str = ""
    conflicts_retried: int = 0
    kept_older: int = 0
    overtaken: int = 0
    new_model_would_add: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    inputs_per_second: float | None = None
    estimated_seconds: float | None = None
    cost: float | None = None
    fallback_cost: float | None = None
    rewritten: str = ""
    failure: str = ""
    interrupted: bool = False
    stopped: str = ""
    drift: str = ""
    leaning: str = ""
    earlier_task: bool = False
    examples: str = ""
    calibrator: str = ""
    run_id: str | None = None

    @property
    def cost_per_1000_rows(self) -> float | None:
        """Per 1,000 rows that were written, or would be."""
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
        return printable_lines("\n".join((self._headline(), *(f"  {line}" for line in self._details()))))

    def _headline(self) -> str:
        where = f"{self.table}: task {self.task}, model {self.model}"
        if self.dry_run:
            inputs = counted(self.distinct_inputs, "distinct input")
            return f"{where}\n  would label {counted(self.pending, 'row')} ({inputs})"
        if not self.pending and not self.corrections_stamped:
            return f"{where}\n  nothing to do (version {_version(self.version_after)})"
        without = sum(rows for status, rows in self.by_status.items() if status not in ANSWERED)
        labeled = f"labeled {counted(self.labeled - without, 'row')}"
        labeled += f", {without:,} without an answer" if without else ""
        return (
            f"{where}\n  {labeled}; version {_version(self.version_before)} -> {_version(self.version_after)}"
        )

    def _details(self) -> list[str]:
        return [*self._row_lines(), *self._cost_lines(), *self._notes()]

    def _row_lines(self) -> Iterator[str]:
        """What became of the rows."""
        yield "rows before: " + _counts(self.states)
        if self.unread:
            yield self.unread
        if self.lost_answers:
            yield self.lost_answers
        if self.by_status:
            yield "written: " + _counts(self.by_status)
        if self.by_model:
            yield "answered by " + "; by ".join(
                f"{model}: {rows:,} ({rows / self.labeled:.0%})" for model, rows in self.by_model.items()
            )
        if self.fallback_below is not None:
            yield f"the fallback was asked where the first model's confidence was below {self.fallback_below:.4g}"
        if not self.dry_run and (left := self.pending - self.labeled - self.overtaken):
            yield f"{left:,} pending rows are not labeled yet"
        if self.overtaken:
            yield f"{self.overtaken:,} rows were not written: another writer answered or changed them meanwhile"
        if self.resumed_inputs:
            yield f"{self.resumed_inputs:,} answers were taken over from a pass that did not finish"
        if self.cache_problem:
            yield self.cache_problem
        if self.cached_inputs:
            yield f"{self.cached_inputs:,} answers were in the cache"
        if self.new_corrections:
            yield f"corrections that would be attributed to people: {self.new_corrections:,}"
        if self.refused:
            yield f"the pass would be refused: {self.refused}"
        if self.corrections_stamped:
            yield f"corrections attributed to people: {self.corrections_stamped:,}"
        if self.kept_older:
            yield f"{self.kept_older:,} rows keep their older answer because the engine failed"
        if self.human_kept:
            yield f"{counted(self.human_kept, 'human answer')} kept"
        if self.human_input_changed:
            yield f"{self.human_input_changed:,} of them answer an input that has changed since: review them"
        if self.new_model_would_add:
            yield f"{self.new_model_would_add:,} rows have another model's answer: relabel='model' relabels them"

    def _cost_lines(self) -> Iterator[str]:
        """Time, tokens, money, and what was written in vain."""
        if self.dry_run and self.pending:
            known = self.estimated_seconds
            time = f"about {max(1, known):,.0f} s" if known else "time unknown before a first pass"
            yield f"about {self.prompt_tokens:,} prompt tokens, {time}"
        elif self.inputs_per_second:
            rate = f"{self.inputs_per_second:,.1f} inputs/s"
            yield f"{self.seconds:,.1f} s, {rate}, {self.prompt_tokens:,} prompt tokens"
        if self.cost is not None and self.cost_per_1000_rows is not None:
            would = "would cost about" if self.dry_run else "cost"
            alone = self.fallback_cost
            beside = "" if alone is None else f"; the fallback alone about {alone:,.2f}"
            yield f"{would} {self.cost:,.2f}, {self.cost_per_1000_rows:,.3f} per 1,000 rows{beside}"
        if self.conflicts_retried:
            commits = "commit" if self.conflicts_retried == 1 else "commits"
            yield f"{self.conflicts_retried:,} {commits} conflicted with other writers and had to be repeated"
        if self.rewritten:
            yield self.rewritten

    def _notes(self) -> Iterator[str]:
        """Where to look further, and what needs attention."""
        if self.run_id:
            yield f"MLflow run {self.run_id}"
        if self.calibrator:
            yield f"confidences are calibrated: {self.calibrator}"
        if self.examples:
            yield self.examples
        if self.earlier_task:
            yield (
                f"{self.model} was fine-tuned with an earlier version of the task and still uses the prompt it was "
                "trained with; fine-tune again to apply the new instructions"
            )
        if self.drift:
            yield self.drift
        if self.leaning:
            yield self.leaning
        if self.failure:
            yield f"the engine failed, for example: {printable(self.failure)}"
        if self.stopped:
            yield f"stopped: {_STOPS[self.stopped]} ({self.stopped}); {_GO_ON[self.stopped == DRIFT]}"
        if self.interrupted:
            yield "interrupted: call again to continue where it stopped"


def _version(number: int) -> str:
    """A version to show: a table that does not exist yet, or a view, has none."""
    return "none" if number == UNVERSIONED else str(number)


def _counts(counts: Mapping[str, int]) -> str:
    return (
        ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in sorted(counts.items())) or "none"
    )
