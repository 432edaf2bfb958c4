"""The state of every row of a pinned version, and what passes wrote into its records. Reads only."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pyspark.errors import (
    AnalysisException,
    ArithmeticException,
    ArrayIndexOutOfBoundsException,
    DateTimeException,
    NumberFormatException,
    ParseException,
    SparkNoSuchElementException,
    SparkRuntimeException,
    SparkUpgradeException,
)
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType

from sparklabel.delta.errors import error_message
from sparklabel.errors import TableError
from sparklabel.labels.predicates import (
    implicit_correction_sql,
    input_hash_sql,
    keeps_older_sql,
    row_state_sql,
    unattributed_sql,
)
from sparklabel.labels.status import RETRYABLE
from sparklabel.sql import quote
from sparklabel.table.schema_evolution import cast_struct_sql, record_type
from sparklabel.table.shards import Shard
from sparklabel.table.task_table import TaskTable
from sparklabel.tasks import Task

HASH, STATE, ANSWER = "_sparklabel_hash", "_sparklabel_state", "_sparklabel_answer"
SEEN, TEXT = "_sparklabel_pass_seen", "_sparklabel_text"
"""SEEN is the pass that had written a row's record when this pass began; TEXT, with a number, is an input."""

_RECORD = "_sparklabel_record"
"""The fields of a record that a state depends on, and nothing else: the rest is not read from the files."""
_STATE_FIELDS = (
    "value", "source", "input_hash", "status", "confidence", "model", "task_fingerprint", "attempts", "pass_id",
)  # fmt: skip
_PENDING_FIELDS = ("pass_id", "attempts", "status", "input_hash")
_NONDETERMINISTIC = re.compile(
    r"\b(rand|randn|random|randstr|uniform|uuid|shuffle|monotonically_increasing_id)\s*\(", re.IGNORECASE
)

_OF_A_ROW = (
    ArithmeticException,
    ArrayIndexOutOfBoundsException,
    DateTimeException,
    NumberFormatException,
    SparkNoSuchElementException,
    SparkRuntimeException,
    SparkUpgradeException,
)
"""What Spark raises where an expression has no value for a row."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which rows a pass is for.

    Attributes:
        relabel: What counts as pending; see `pending_states`.
        where: A SQL condition on the rows; None for all.
        shard: The part of the rows, by a hash of their key; None for all.
        retry: How many attempts rows with a failed status get, by status.
    """

    relabel: str = "task"
    where: str | None = None
    shard: Shard | None = None
    retry: tuple[tuple[str, int | None], ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether it is all rows of the table."""
        return self.where is None and self.shard is None


def row_states(
    spark: SparkSession,
    opened: TaskTable,
    task: Task,
    scope: Scope,
    models: Mapping[str, float] = {},
    min_confidence: float = 0.0,
) -> DataFrame:
    """The pinned rows of a scope with their input hash (HASH) and their state (STATE) with regard to answers by
    `models` (see `row_state_sql`). What the table lacks of the label reads as NULL. Raises TableError for a wrong
    `where`."""
    where = scope.where
    frame, label_columns = opened.rows(spark), opened.label_columns
    if where is not None:
        if not isinstance(where, str) or not where.strip():
            raise TableError(
                f"where={where!r} is not a SQL condition.",
                hint="Leave it out (None) to label all pending rows.",
            )
        if drawn := _NONDETERMINISTIC.search(where):
            raise TableError(
                f"where={where!r} selects other rows each time it is evaluated ({drawn.group(1)}).",
                hint="Choose by a hash of the key instead: where='pmod(hash(id), 100) = 0'.",
            )
        try:
            frame = frame.where(where)
            _ = frame.schema  # over Spark Connect the analysis waits until something needs it
        except (AnalysisException, ParseException) as error:
            raise TableError(
                f"where={where!r} is not a condition on {opened.source.name}: {error_message(error)}"
            ) from None
    if scope.shard:
        frame = frame.where(scope.shard.sql(opened.keys))
    for name, ddl in label_columns.missing:
        frame = frame.withColumn(name, F.expr(f"CAST(NULL AS {ddl})"))
    for name, wanted in (
        (label_columns.value, DataType.fromDDL(task.value_type)),
        (label_columns.label, record_type(task)),
    ):
        # The table's may lack fields of this release, and have some that it does not know.
        if name in opened.target.schema.fieldNames():
            found = cast_struct_sql(quote(name), opened.target.schema[name].dataType, wanted)
            frame = frame.withColumn(name, F.expr(found)) if found != quote(name) else frame
    inputs = [quote(c) for c in opened.input_columns(task)]
    hashed = frame.select(
        "*",
        F.expr(input_hash_sql(inputs)).alias(HASH),
        _fields(quote(label_columns.label), _STATE_FIELDS).alias(_RECORD),
    )
    state = row_state_sql(
        value=quote(label_columns.value), label=_RECORD, inputs_hash=HASH,
        fingerprint=task.fingerprint, models=models, relabel=scope.relabel, min_confidence=min_confidence,
        retry=dict(scope.retry),
    )  # fmt: skip
    return hashed.withColumn(STATE, F.expr(state))


@contextmanager
def condition_errors(where: str | None, table: str) -> Iterator[None]:
    """Raises TableError for a condition that fails on some row, or, without one, for a table that does: a view. Spark's
    message is left out: it quotes the row."""
    try:
        yield
    except _OF_A_ROW as error:
        what = (
            f"where={where!r} fails on a row of {table}" if where else f"A row of {table} cannot be computed"
        )
        raise TableError(
            f"{what}: {error.getCondition()}.",
            hint="Use a function that gives NULL instead: try_cast, try_divide, try_to_timestamp, try_element_at.",
        ) from None


def labeled_rows(spark: SparkSession, opened: TaskTable, task: Task) -> DataFrame:
    """The pinned rows with the task's value and record as this release reads them, HASH and STATE: which rows people
    answered depends neither on a model nor on what is pending."""
    return row_states(spark, opened, task, Scope(relabel="none"))


def _fields(record: str, names: Sequence[str]) -> Column:
    return F.struct(*(F.col(f"{record}.{name}") for name in names))


def unattributed() -> Column:
    """True for rows of `row_states` that a person answered and whose record does not say so yet."""
    return F.col(STATE).startswith("human") & F.expr(unattributed_sql(_RECORD))


def implicit_corrections() -> Column:
    """True for human answers whose record does not say so: the value differs from the record's."""
    return F.col(STATE).startswith("human") & F.expr(implicit_correction_sql(_RECORD))


def answered_by_a_pass() -> Column:
    """True for rows of `row_states` that have the record of a pass, whatever came of it."""
    return F.col(f"{_RECORD}.pass_id").isNotNull()


def pending_columns(table: TaskTable, task: Task) -> list[Column]:
    """The columns of `row_states` that a pass needs: the key, the inputs as text (TEXT and a number), the fields of the
    record that decide whether an answer may replace it, HASH and STATE."""
    label = table.label_columns.label
    keys = [F.col(quote(key)) for key in table.keys]
    texts = [F.col(quote(c)).cast("string") for c in table.input_columns(task)]
    record = _fields(_RECORD, _PENDING_FIELDS).alias(label)
    # The inputs get names of their own, as one may be part of the key.
    own = [text.alias(f"{TEXT}{number}") for number, text in enumerate(texts)]
    return [*keys, *own, record, F.col(HASH), F.col(STATE)]


def distinct_inputs(rows: DataFrame, task: Task, *others: str, are_distinct: bool = False) -> DataFrame:
    """Each distinct input of rows with `pending_columns`: HASH, the texts under the task's names, and `others`, columns
    that the hash determines. `are_distinct` says that they are distinct already, and saves the shuffle."""
    if are_distinct:
        texts = [F.col(f"{TEXT}{number}").alias(c) for number, c in enumerate(task.inputs)]
        return rows.select(HASH, *others, *texts)
    texts = [F.any_value(f"{TEXT}{number}").alias(c) for number, c in enumerate(task.inputs)]
    return rows.groupBy(HASH, *others).agg(*texts)


def records_of(spark: SparkSession, opened: TaskTable, models: Iterable[str], fingerprint: str) -> DataFrame:
    """The records of these models' answers to a version of the task, as `record`."""
    own = F.col("record.model").isin(*models) & (F.col("record.task_fingerprint") == fingerprint)
    return _records(spark, opened).where(own)


def rows_by_status(spark: SparkSession, opened: TaskTable, pass_id: str) -> dict[str, int]:
    """How many rows have the pass's answer, by status."""
    written = _records(spark, opened).where(F.col("record.pass_id") == pass_id)
    rows = written.groupBy("record.status").agg(F.count("*").alias("rows")).collect()
    return {row["status"]: row["rows"] for row in rows}


@dataclass(frozen=True, slots=True)
class ModelShare:
    """What a model answered: so many `rows`, with so many distinct `inputs`, whose prompts and answers have so many
    `tokens`."""

    rows: int
    inputs: int
    tokens: int


def shares_by_model(spark: SparkSession, opened: TaskTable, pass_id: str) -> dict[str, ModelShare]:
    """What each model answered in a pass."""
    written = _records(spark, opened).where(F.col("record.pass_id") == pass_id)
    tokens = F.coalesce("record.prompt_tokens", F.lit(0)) + F.coalesce("record.output_tokens", F.lit(0))
    by_input = written.groupBy("record.model", "record.input_hash").agg(
        F.count("*").alias("rows"), F.any_value(tokens).alias("tokens")
    )
    found = by_input.groupBy("model").agg(
        F.sum("rows").alias("rows"), F.count("*").alias("inputs"), F.sum("tokens").alias("tokens")
    )
    return {row["model"]: ModelShare(row["rows"], row["inputs"], row["tokens"]) for row in found.collect()}


def rows_kept(opened: TaskTable, pending: DataFrame, answers: DataFrame) -> int:
    """How many pending rows keep their older answer because the engine failed on the new one."""
    keeps = keeps_older_sql(quote(opened.label_columns.label), ANSWER, HASH)
    return pending.join(_failed(answers), HASH).where(keeps).count()


def failure_of(answers: DataFrame) -> str:
    """The engine's error for one of the inputs that it failed on."""
    (row,) = _failed(answers).select(F.min(f"{ANSWER}.error").alias("error")).collect()
    return row["error"] or ""


def _failed(answers: DataFrame) -> DataFrame:
    return answers.where(F.col(f"{ANSWER}.status").isin(*RETRYABLE))


def _records(spark: SparkSession, opened: TaskTable) -> DataFrame:
    """The table's current records."""
    return spark.sql(f"SELECT {quote(opened.label_columns.label)} AS record FROM {opened.target.sql}")
