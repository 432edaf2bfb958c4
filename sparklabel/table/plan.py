"""The plan of a pass: the state of every row of the pinned version, and the distinct inputs to be answered.

In: a target, the task's columns, the model's identity. Out: DataFrames and counts. Reads only.
"""

import re
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType

from sparklabel.cards import ModelCard
from sparklabel.delta_table import said_by
from sparklabel.errors import TableError
from sparklabel.labels import (
    STATES,
    input_hash_sql,
    pending_states,
    quote,
    row_state_sql,
    silent_sql,
    unstamped_sql,
)
from sparklabel.table.columns import Owned
from sparklabel.table.commits import refusals
from sparklabel.table.opening import TaskTable
from sparklabel.table.record import converted_sql, record_type
from sparklabel.tasks import Task

HASH, STATE, ANSWER = "_sparklabel_hash", "_sparklabel_state", "_sparklabel_answer"
SEEN = "_sparklabel_pass_seen"
"""Which pass had written a row's record when this one began."""
_CHARS_PER_TOKEN, _CHAT_CHARACTERS = 4, 80
_NONDETERMINISTIC = re.compile(
    r"\b(rand|randn|random|randstr|uniform|uuid|shuffle|monotonically_increasing_id)\s*\(", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Scope:
    """Which rows a pass is for. `where` is a SQL condition, `relabel` says what counts as pending, and `retry` how
    often rows with a failed status are asked."""

    relabel: str = "task"
    where: str | None = None
    retry: tuple[tuple[str, int | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pass would do. `states` counts rows by state; `unstamped` human answers have a record that is not
    complete, `silent` ones among them do not say that a person gave them; characters are those of the distinct pending
    inputs, and of the prompt around each."""

    task: Task
    owned: Owned
    relabel: str
    states: Mapping[str, int]
    unstamped: int
    silent: int
    pending_inputs: int
    pending_characters: int
    prompt_characters: int

    @property
    def pending(self) -> int:
        return sum(self.states.get(state, 0) for state in pending_states(self.relabel))

    @property
    def prompt_tokens(self) -> int:
        """An estimate, at four characters a token: the inputs, and the prompt once for each."""
        return (self.pending_characters + self.pending_inputs * self.prompt_characters) // _CHARS_PER_TOKEN


def prompt_characters(task: Task, card: ModelCard | None, input_characters: int = 0) -> int:
    """About how long a prompt is beside its inputs: the template that a model was fine-tuned with, or zero-shot.
    Examples that come from a table are taken to be as long as a row's inputs, `input_characters`."""
    if card:
        return sum(len(piece.text) for piece in card.template.pieces if piece.kind != "input")
    examples = sum(len(t) for e in task.examples for t in (*e.inputs, task.spoken(e.answer)))
    examples += task.examples_from.count * input_characters if task.examples_from else 0
    return len(task.question()) + examples + _CHAT_CHARACTERS


def row_states(
    spark: SparkSession,
    opened: TaskTable,
    task: Task,
    scope: Scope,
    model: str = "",
    min_confidence: float = 0.0,
) -> DataFrame:
    """The pinned rows of a scope with their input hash and state, for an answer by `model`; what of the label is not
    there yet reads as NULL."""
    where = scope.where
    frame, owned = opened.rows(spark), opened.owned
    if where is not None:
        if not isinstance(where, str) or not where.strip():
            raise TableError(
                f"where={where!r} is not a SQL condition.",
                hint="Leave it out (None) to label all pending rows.",
            )
        if drawn := _NONDETERMINISTIC.search(where):
            raise TableError(
                f"where={where!r} draws other rows each time it is evaluated ({drawn.group(1)}).",
                hint="Choose by a hash of the key instead: where='pmod(hash(id), 100) = 0'.",
            )
        try:
            frame = frame.where(where)
            _ = frame.schema  # over Spark Connect the analysis waits until something needs it
        except (AnalysisException, ParseException) as error:
            raise TableError(
                f"where={where!r} is not a condition on {opened.source.name}: {said_by(error)}"
            ) from None
    for name, ddl in owned.missing:
        frame = frame.withColumn(name, F.expr(f"CAST(NULL AS {ddl})"))
    for name, wanted in ((owned.value, DataType.fromDDL(task.value_type)), (owned.label, record_type(task))):
        if (
            name in opened.target.schema.fieldNames()
        ):  # it may lack fields of ours, and have some that we do not know
            found = converted_sql(quote(name), opened.target.schema[name].dataType, wanted)
            frame = frame.withColumn(name, F.expr(found)) if found != quote(name) else frame
    hashed = frame.withColumn(
        HASH, F.expr(input_hash_sql([quote(str(opened.source.column(c))) for c in task.inputs]))
    )
    state = row_state_sql(
        value=quote(owned.value), label=quote(owned.label), inputs_hash=HASH,
        fingerprint=task.fingerprint, model=model, relabel=scope.relabel, min_confidence=min_confidence,
        retry=dict(scope.retry),
    )  # fmt: skip
    return hashed.withColumn(STATE, F.expr(state))


def unstamped(owned: Owned) -> Column:
    """True for rows of `row_states` that a person answered and whose record does not say so yet."""
    return F.col(STATE).startswith("human") & F.expr(unstamped_sql(quote(owned.label)))


def _silent(owned: Owned) -> Column:
    """True for human answers that do not say so: the value is not the record's."""
    return F.col(STATE).startswith("human") & F.expr(silent_sql(quote(owned.label)))


def make_plan(
    states: DataFrame, owned: Owned, task: Task, relabel: str, card: ModelCard | None = None
) -> Plan:
    """Counts, in one scan. `card` is what the model carries."""
    pending = F.col(STATE).isin(*pending_states(relabel))
    characters = sum(
        (F.coalesce(F.length(F.col(quote(c)).cast("string")), F.lit(0)) for c in task.inputs), F.lit(0)
    )
    # A group for each pending input, and one for all other rows.
    inputs = states.groupBy(F.when(pending, F.col(HASH)).alias(HASH)).agg(
        *(F.count_if(F.col(STATE) == state).alias(state) for state in STATES),
        F.count_if(unstamped(owned)).alias("unstamped"), F.count_if(_silent(owned)).alias("silent"),
        F.any_value(characters).alias("characters"),
    )  # fmt: skip
    (row,) = inputs.agg(
        *(F.sum(name).alias(name) for name in (*STATES, "unstamped", "silent")), F.count(HASH).alias("inputs"),
        F.sum(F.when(F.col(HASH).isNotNull(), F.col("characters"))).alias("characters"),
    ).collect()  # fmt: skip
    return Plan(
        task=task,
        owned=owned,
        relabel=relabel,
        states={state: row[state] for state in STATES if row[state]},
        unstamped=row["unstamped"] or 0,
        silent=row["silent"] or 0,
        pending_inputs=row["inputs"],
        pending_characters=row["characters"] or 0,
        prompt_characters=prompt_characters(task, card, (row["characters"] or 0) // max(1, row["inputs"])),
    )


def distinct_inputs(rows: DataFrame, task: Task) -> DataFrame:
    """Each distinct input of `row_states` once: its hash, and the inputs as the task names them."""
    texts = [F.any_value(F.col(quote(c)).cast("string")).alias(c) for c in task.inputs]
    return rows.groupBy(HASH).agg(*texts)


def kept(rows: DataFrame, stack: ExitStack) -> DataFrame:
    """The same rows, which Spark computes once and keeps until the stack is unwound."""

    def forget() -> None:
        with suppress(*refusals()):  # the session may be what died
            rows.unpersist()

    stack.callback(forget)
    return rows.persist()
