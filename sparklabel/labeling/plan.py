"""The plan of a pass: which rows it would answer, counted in one scan of the pinned version.

In: a request. Out: counts, and the pending rows, which Spark keeps on disk until the pass ends. Writes nothing.
"""

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from sparklabel.delta.commits import CLEANUP_ERRORS
from sparklabel.delta.snapshot import UNVERSIONED
from sparklabel.labeling.chunks import BUCKETS
from sparklabel.labeling.request import PassRequest
from sparklabel.labels.predicates import STATES, pending_states
from sparklabel.models.manifest import AdapterManifest
from sparklabel.sql import quote
from sparklabel.table.history import last_rate
from sparklabel.table.row_states import (
    HASH,
    STATE,
    condition_errors,
    implicit_corrections,
    pending_columns,
    row_states,
    unattributed,
)
from sparklabel.table.task_table import TaskTable
from sparklabel.tasks import Task

BUCKET = "_sparklabel_bucket"
_CHARS_PER_TOKEN, _CHAT_CHARACTERS = 4, 80
FEW_ROWS = 10_000
"""Up to so many rows are sent to every executor for a MERGE, or go through the driver in a small pass."""
_SMALL_SECONDS = 10.0
"""Computing again what takes no longer than this costs less than staging it, and than asking the cache."""
_UNTIMED_INPUTS = 32
"""So many inputs are taken to be answered within that time when no earlier pass says how long they take."""


@dataclass(frozen=True, slots=True)
class PassPlan:
    """What a pass would do.

    `states` counts rows by state. `unattributed` counts human answers whose record is incomplete, and
    `implicit_corrections` those among them that are plain UPDATEs, which no record attributes to a person. Characters
    are those of the distinct pending inputs, and of the prompt around each. `inputs_per_second` is the rate of the
    last pass that computed anything for this task, None if unknown or if nothing is pending. `rows` are the pending
    rows, `pending_columns` and a bucket.
    """

    request: PassRequest
    states: Mapping[str, int]
    unattributed: int = 0
    implicit_corrections: int = 0
    pending_inputs: int = 0
    pending_characters: int = 0
    prompt_characters: int = 0
    inputs_per_second: float | None = None
    rows: DataFrame | None = field(default=None, compare=False, repr=False)

    @property
    def pending_rows(self) -> DataFrame:
        """`rows`, of a plan that was made for a table."""
        assert self.rows is not None
        return self.rows

    def keeping_rows(self, stack: ExitStack) -> "PassPlan":
        """The same. Once its rows are read, Spark keeps them until the stack is unwound."""
        return replace(self, rows=keep(self.pending_rows, stack)) if self.pending else self

    @property
    def pending(self) -> int:
        """Rows to answer."""
        return sum(self.states.get(state, 0) for state in pending_states(self.request.scope.relabel))

    @property
    def human(self) -> int:
        """Rows that a person answered: never overwritten."""
        return self.states.get("human", 0) + self.states.get("human_input_changed", 0)

    @property
    def inputs(self) -> int:
        """Distinct inputs to ask, within `max_rows`."""
        return min(self.pending_inputs, self.request.limits.max_rows or self.pending_inputs)

    @property
    def prompt_tokens(self) -> int:
        """An estimate for all pending inputs, at four characters a token: each input with its prompt."""
        return (self.pending_characters + self.pending_inputs * self.prompt_characters) // _CHARS_PER_TOKEN

    @property
    def has_few_rows(self) -> bool:
        return self.pending <= FEW_ROWS

    @property
    def is_small(self) -> bool:
        """Whether the answers need neither staging nor the cache: they take seconds by the last pass's rate, cost no
        money, and the user named no folder for them."""
        is_free = self.request.spec.engine.kind.holds_model  # an HTTP endpoint's answers cost money
        storage = self.request.storage
        is_default = storage.staging is None and isinstance(storage.cache, bool)
        rate = self.inputs_per_second
        most = _UNTIMED_INPUTS if rate is None else _SMALL_SECONDS * rate
        return is_free and is_default and self.has_few_rows and self.inputs <= most


def make_plan(spark: SparkSession, request: PassRequest) -> PassPlan:
    """Counts the rows of the request's scope, in one scan.

    Raises TableError for a condition that cannot be evaluated.
    """
    table, task, relabel = request.table, request.task, request.scope.relabel
    states = row_states(spark, table, task, request.scope, request.model, request.spec.min_confidence)
    is_pending = F.col(STATE).isin(*pending_states(relabel))
    rows = states.where(is_pending).select(*pending_columns(table, task), _bucket(request.pass_id))
    with condition_errors(request.scope.where, table.source.name):
        counts = _counts(states, is_pending, table, task)
    inputs, characters = counts.pop("inputs"), counts.pop("characters")
    return PassPlan(
        request=request,
        unattributed=counts.pop("unattributed"),
        implicit_corrections=counts.pop("implicit_corrections"),
        states={state: number for state, number in counts.items() if number},
        pending_inputs=inputs,
        pending_characters=characters,
        prompt_characters=prompt_characters(task, request.spec.manifest, characters // max(1, inputs)),
        inputs_per_second=_rate(spark, request) if inputs else None,
        rows=rows,
    )


def _counts(states: DataFrame, is_pending: Column, table: TaskTable, task: Task) -> dict[str, int]:
    """In one scan: rows by state, `inputs` to ask, and their `characters`."""
    columns = [F.col(quote(c)).cast("string") for c in table.input_columns(task)]
    length = sum((F.coalesce(F.length(text), F.lit(0)) for text in columns), F.lit(0))
    names = (*STATES, "unattributed", "implicit_corrections")
    # A group for each pending input, and one for all other rows.
    groups = states.groupBy(F.when(is_pending, F.col(HASH)).alias(HASH)).agg(
        *(F.count_if(F.col(STATE) == state).alias(state) for state in STATES),
        F.count_if(unattributed()).alias("unattributed"),
        F.count_if(implicit_corrections()).alias("implicit_corrections"),
        F.any_value(length).alias("characters"),
    )
    (row,) = groups.agg(
        *(F.sum(name).alias(name) for name in names),
        F.count(HASH).alias("inputs"),
        F.sum(F.when(F.col(HASH).isNotNull(), F.col("characters"))).alias("characters"),
    ).collect()
    return {name: int(number or 0) for name, number in row.asDict().items()}


def _bucket(pass_id: str) -> Column:
    """Salted with the pass: what a pass that died left over is spread over all buckets again."""
    return F.pmod(F.xxhash64(F.col(HASH), F.lit(pass_id)), F.lit(BUCKETS)).cast("int").alias(BUCKET)


def _rate(spark: SparkSession, request: PassRequest) -> float | None:
    target = request.table.target
    return (
        None if target.version == UNVERSIONED else last_rate(spark, target, request.task.name, request.model)
    )


def prompt_characters(task: Task, manifest: AdapterManifest | None, input_characters: int = 0) -> int:
    """About how long a prompt is beside its inputs: the template that a model was fine-tuned with, or zero-shot.
    Examples that come from a table are assumed to be as long as a row's inputs, `input_characters`."""
    if manifest:
        return sum(len(piece.text) for piece in manifest.template.pieces if piece.kind != "input")
    examples = sum(len(t) for e in task.examples for t in (*e.inputs, task.verbalize(e.answer)))
    examples += task.examples_from.count * input_characters if task.examples_from else 0
    return len(task.question()) + examples + _CHAT_CHARACTERS


def keep(rows: DataFrame, stack: ExitStack) -> DataFrame:
    """The same rows, which Spark computes once and keeps on its disks until the stack is unwound."""

    def release() -> None:
        with suppress(*CLEANUP_ERRORS):  # the session may be what died
            rows.unpersist()

    stack.callback(release)
    return rows.persist(StorageLevel.DISK_ONLY)
