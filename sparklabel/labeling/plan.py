"""The plan of a pass: which rows it would answer, counted and kept in one scan of the pinned version.

In: a request. Out: counts, and the pending rows, which Spark keeps on disk until the pass ends. Writes nothing.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from sparklabel.delta.kept_rows import keep
from sparklabel.delta.snapshot import UNVERSIONED
from sparklabel.labeling.chunks import BUCKETS
from sparklabel.labeling.request import PassRequest
from sparklabel.labels.predicates import STATES, pending_states
from sparklabel.models.manifest import ModelManifest
from sparklabel.table.history import NEWEST_COMMITS, TableHistory, last_rate, read_history
from sparklabel.table.key import check_unique
from sparklabel.table.restore import answers_left_behind
from sparklabel.table.row_states import (
    HASH,
    STATE,
    TEXT,
    answered_by_a_pass,
    condition_errors,
    implicit_corrections,
    pending_columns,
    row_states,
    unattributed,
)
from sparklabel.tasks import Task

BUCKET = "_sparklabel_bucket"
_PENDING = "_sparklabel_pending"
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

    `states` counts rows by state, `answered_before` the pending ones that a pass has answered. `unattributed` counts
    human answers whose record is incomplete, and `implicit_corrections` those among them that are plain UPDATEs, which
    no record attributes to a person. Characters are those of the distinct pending inputs, and of the prompt around
    each. `inputs_per_second` is that of the last passes for this task (`last_rate`), None if unknown or if nothing is
    pending; `fallback_rate` is that of the fallback alone. `lost_answers` says how many answers of people
    are only in an older version of the table. `rows` are the pending rows, `pending_columns` and a bucket.
    """

    request: PassRequest
    states: Mapping[str, int]
    answered_before: int = 0
    unattributed: int = 0
    implicit_corrections: int = 0
    pending_inputs: int = 0
    pending_characters: int = 0
    prompt_characters: int = 0
    inputs_per_second: float | None = None
    fallback_rate: float | None = None
    lost_answers: str = ""
    rows: DataFrame | None = field(default=None, compare=False, repr=False)

    @property
    def pending_rows(self) -> DataFrame:
        """`rows`, of a plan that was made for a table."""
        assert self.rows is not None
        return self.rows

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
        is_free = not any(spec.engine.kind.is_paid for spec in self.request.spec.in_turn)
        storage = self.request.storage
        is_default = storage.staging is None and isinstance(storage.cache, bool)
        rate = self.inputs_per_second
        most = _UNTIMED_INPUTS if rate is None else _SMALL_SECONDS * rate
        return is_free and is_default and self.has_few_rows and self.inputs <= most


def make_plan(spark: SparkSession, request: PassRequest, stack: ExitStack) -> PassPlan:
    """Counts the rows of the request's scope, in one scan. Spark keeps the pending ones until the stack is unwound.

    Raises:
        TableError: The condition, or a row of a view, cannot be evaluated.
        KeyColumnError: Pending rows are equal.
    """
    table, task = request.table, request.task
    states = row_states(spark, table, task, request.scope, request.spec.models, request.spec.min_confidence)
    is_pending = F.col(STATE).isin(*pending_states(request.scope.relabel))
    pending = F.struct(*pending_columns(table, task), _bucket(request.pass_id))
    # A group for each pending row, and one for all others.
    groups = states.groupBy(F.when(is_pending, pending).alias(_PENDING)).agg(
        *(F.count_if(F.col(STATE) == state).alias(state) for state in STATES),
        F.count_if(unattributed()).alias("unattributed"),
        F.count_if(implicit_corrections()).alias("implicit_corrections"),
        F.count_if(is_pending & answered_by_a_pass()).alias("answered_before"),
    )
    with condition_errors(request.scope.where, table.source.name):
        groups = keep(groups, stack)  # Spark evaluates constants here already
        counts = _totals(groups, len(task.inputs))
    inputs, characters, rows = counts.pop("inputs"), counts.pop("characters"), counts.pop("rows")
    by_state = {state: number for state, number in counts.items() if number and state in STATES}
    history = _history(spark, request) if inputs else TableHistory()
    plan = PassPlan(
        request=request,
        answered_before=counts.pop("answered_before"),
        unattributed=counts.pop("unattributed"),
        implicit_corrections=counts.pop("implicit_corrections"),
        states=by_state,
        pending_inputs=inputs,
        pending_characters=characters,
        prompt_characters=prompt_characters(task, request.spec.manifest, characters // max(1, inputs)),
        inputs_per_second=last_rate(history, task.name, request.model),
        fallback_rate=last_rate(history, task.name, request.spec.in_turn[-1].model.identity),
        lost_answers=_lost_answers(spark, request, by_state, history),
        rows=groups.where(F.col(_PENDING).isNotNull()).select(f"{_PENDING}.*"),
    )
    if rows < plan.pending:  # equal rows are one group, so `rows` of the plan would hide it
        check_unique(states.where(is_pending), table.source.name, table.keys)
    return plan


def _totals(groups: DataFrame, texts: int) -> dict[str, int]:
    """Of a plan's groups: rows by state, pending `rows` that differ, the `inputs` to ask and their `characters`."""
    length = sum(
        (F.coalesce(F.length(f"{_PENDING}.{TEXT}{number}"), F.lit(0)) for number in range(texts)), F.lit(0)
    )
    names = (*STATES, "unattributed", "implicit_corrections", "answered_before")
    by_input = groups.groupBy(F.col(f"{_PENDING}.{HASH}").alias(HASH)).agg(
        *(F.sum(name).alias(name) for name in names),
        F.count(_PENDING).alias("rows"),
        F.max(F.when(F.col(_PENDING).isNotNull(), length)).alias("characters"),  # equal in a group
    )
    (row,) = by_input.agg(
        *(F.sum(name).alias(name) for name in (*names, "rows", "characters")), F.count(HASH).alias("inputs")
    ).collect()
    return {name: int(number or 0) for name, number in row.asDict().items()}


def _bucket(pass_id: str) -> Column:
    """Salted with the pass: what a pass that died left over is spread over all buckets again."""
    return F.pmod(F.xxhash64(F.col(HASH), F.lit(pass_id)), F.lit(BUCKETS)).cast("int").alias(BUCKET)


def _history(spark: SparkSession, request: PassRequest) -> TableHistory:
    target = request.table.target
    return TableHistory() if target.version == UNVERSIONED else read_history(spark, target, NEWEST_COMMITS)


def _lost_answers(
    spark: SparkSession, request: PassRequest, states: Mapping[str, int], history: TableHistory
) -> str:
    """Looked for only where no row has a label: a first pass, or the first since the table was made anew."""
    table = request.table
    reads_part = table.arrived is not None or table.changed is not None
    if states.keys() != {"new"} or table.has_separate_labels or reads_part:
        return ""
    return answers_left_behind(spark, table.target, request.task, history)


def prompt_characters(task: Task, manifest: ModelManifest | None, input_characters: int = 0) -> int:
    """About how long a prompt is beside its inputs: the template that a model was fine-tuned with, or zero-shot.
    Examples that come from a table are assumed to be as long as a row's inputs, `input_characters`."""
    if manifest:
        pieces = manifest.template.pieces if manifest.template else ()
        return sum(len(piece.text) for piece in pieces if piece.kind != "input")
    examples = sum(len(t) for e in task.examples for t in (*e.inputs, task.verbalize(e.answer)))
    examples += task.examples_from.count * input_characters if task.examples_from else 0
    return len(task.question()) + examples + _CHAT_CHARACTERS
