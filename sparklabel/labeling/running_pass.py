"""What every running pass has: the plan made ready, what the executor asks of it, and what it asks of the table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pyspark.sql import DataFrame, SparkSession

from sparklabel.labeler import PreparedTask
from sparklabel.labeling.drift import MIN_ANSWERS, FirstAnswers, answer_counts, compared, leaning
from sparklabel.labeling.outcome import InferenceResult
from sparklabel.labeling.plan import BUCKET, PassPlan
from sparklabel.labeling.request import PassRequest
from sparklabel.labeling.stats import PassStats
from sparklabel.labeling.tracking import PassTracker
from sparklabel.progress import tell
from sparklabel.sql import quote
from sparklabel.table.merge import Change
from sparklabel.table.row_states import (
    ANSWER,
    HASH,
    distinct_inputs,
    failure_of,
    rows_kept,
)
from sparklabel.table.task_table import TaskTable
from sparklabel.tasks import has_choices
from sparklabel.termination import FirstInterrupt


@dataclass(frozen=True, slots=True)
class Ready:
    """A plan that nothing refuses any more, with the table, which has the task's columns. `prepared` is what the
    models are asked, empty if nothing is pending. `corrections` counts the rows that were just attributed to people."""

    spark: SparkSession
    plan: PassPlan
    request: PassRequest
    prepared: tuple[PreparedTask, ...]
    table: TaskTable
    corrections: int
    progress: bool

    @property
    def rows(self) -> DataFrame:
        """The pending rows."""
        return self.plan.pending_rows


class RunningPass(Protocol):
    """What the executor asks of a pass: to answer, what to merge, and to clean up after the last MERGE."""

    ready: Ready
    tracker: PassTracker
    stats: PassStats
    answered: InferenceResult

    def answer(self, merge_if_due: Callable[[], None]) -> None:
        """Asks the model; then `answered` says what came of it. Calls `merge_if_due` between chunks."""

    def change(self) -> Change | None:
        """What is answered and not merged yet."""

    def merged(self, rows: int) -> None:
        """The newest `change` is in the table, in a commit that wrote so many rows."""

    def settle(self) -> None:
        """After the last MERGE."""

    def by_status(self) -> dict[str, int] | None:
        """The rows written, by status; None if only the table knows."""

    @property
    def cache_problem(self) -> str:
        """Why the cache could not be read or written, or ""."""


def inputs_of(ready: Ready) -> DataFrame:
    """The distinct inputs to ask: HASH, BUCKET and the texts, at most `max_rows`."""
    plan = ready.plan
    are_distinct = plan.pending_inputs == plan.pending
    inputs = distinct_inputs(ready.rows, ready.request.task, BUCKET, are_distinct=are_distinct)
    most = ready.request.limits.max_rows
    return inputs.orderBy(HASH).limit(most) if most else inputs


def look_at_first(ready: Ready, answers: DataFrame, inputs: int) -> FirstAnswers:
    """How the first answers (ANSWER), of so many inputs, are distributed beside the records in the table."""
    request, table = ready.request, ready.table
    if inputs < MIN_ANSWERS or request.limits.on_drift == "ignore" or not has_choices(request.task):
        return FirstAnswers()
    before = answer_counts(table.target.read(ready.spark), quote(table.label_columns.label))
    now = answer_counts(answers, ANSWER)
    # A fine-tuned model learned from people how frequent a label is; of several labels a row, each may be frequent.
    can_lean = not request.spec.manifest and request.task.kind != "multilabel"
    return FirstAnswers(compared(before, now), leaning(before, now, request.task) if can_lean else "")


def first_interrupt() -> FirstInterrupt:
    """Ctrl-C or SIGTERM while chunks are computed: the current one is finished and written."""
    return FirstInterrupt(tell, "the current chunk", "finishing and writing")


def failures_of(ready: Ready, answers: DataFrame) -> tuple[int, str]:
    """How many rows keep their older answer, because the engine failed on their new one; what it said of one input."""
    return rows_kept(ready.table, ready.rows, answers), failure_of(answers)
