"""Which inputs people are asked: a random draw of those that no person has answered, and those that the model was least
sure of.

In: a table opened for a task. Out: input hashes, each once. Nothing about a label enters the random draw. A review asks
what is drawn here, and a pass reads it ahead (`label_table(features=True)`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparklabel.labels.predicates import random_order_sql
from sparklabel.sql import quote
from sparklabel.table.row_states import HASH, STATE, Scope, row_states
from sparklabel.table.task_table import TaskTable
from sparklabel.tasks import Scored, Task

_UNCERTAIN_SHARE = 4
"""For four rows at random one that the model was unsure of."""
_EVEN = 3
"""So many times its even share of the unsure rows a predicted label may have: of 77 labels one can be all of them."""
_SURE, _DRAW = "_sparklabel_sure", "_sparklabel_draw"


@dataclass(frozen=True, slots=True)
class Draw:
    """Input hashes in the order in which they are asked. No hash is in both."""

    random: list[str]
    unsure: list[str]


def askable_rows(spark: SparkSession, opened: TaskTable, task: Task, where: str | None = None) -> DataFrame:
    """The rows, as `row_states` gives them, that no person has answered and that have a text. Raises TableError for a
    wrong `where`."""
    rows = row_states(spark, opened, task, Scope(relabel="none", where=where))
    return rows.where(~F.col(STATE).startswith("human") & F.expr(_has_text(opened, task)))


def draw_inputs(rows: DataFrame, opened: TaskTable, task: Task, number: int) -> Draw:
    """Of `askable_rows`, first `number` inputs at random; then, if there are more, a quarter as many with the smallest
    margin between the two most probable answers."""
    draw = F.expr(random_order_sql(HASH)).alias(_DRAW)
    drawn = rows.select(HASH).distinct().select(HASH, draw).orderBy(_DRAW).limit(number).toArrow()
    found = [str(name) for name in drawn[HASH].to_pylist()]
    if len(found) < number:
        return Draw(found, [])
    rest = rows.where(draw > F.lit(drawn[_DRAW][-1].as_py()))
    return Draw(found, _unsure(rest, opened, task, max(1, number // _UNCERTAIN_SHARE)))


def hash_frame(spark: SparkSession, hashes: Sequence[str], name: str = HASH) -> DataFrame:
    """Input hashes as rows of one column, to be sent to every executor."""
    import pyarrow as pa

    return spark.createDataFrame(pa.table({name: pa.array(hashes, pa.string())})).hint("broadcast")


def is_about_its_text(label: str) -> str:
    """Whether the record, a SQL expression, is about the text that the row has now."""
    return f"coalesce({label}.input_hash = {HASH}, false)"


def _unsure(rows: DataFrame, opened: TaskTable, task: Task, number: int) -> list[str]:
    """The hashes of so many inputs with the smallest margins, without those of a label that has more than its share."""
    mode = task.answer_mode
    labels = len(mode.choices) if isinstance(mode, Scored) else 1
    most = max(1, _EVEN * number // labels)
    within = F.expr(f"row_number() OVER (PARTITION BY {_SURE}.predicted ORDER BY {_SURE}.margin, {HASH})")
    inputs = rows.select(HASH, F.expr(_sure_sql(opened)).alias(_SURE)).where(F.col(_SURE).isNotNull())
    inputs = inputs.groupBy(HASH).agg(F.min(_SURE).alias(_SURE))
    ranked = inputs.withColumn("_rank", within).where(F.col("_rank") <= most)
    found = ranked.orderBy(f"{_SURE}.margin", HASH).limit(number).select(HASH).toArrow()
    return [str(name) for name in found[HASH].to_pylist()]


def _has_text(opened: TaskTable, task: Task) -> str:
    """A first look: what counts as text is decided exactly where the rows are read."""
    texts = [f"coalesce(length(trim(CAST({quote(c)} AS STRING))), 0) > 0" for c in opened.input_columns(task)]
    return (" AND " if task.needs_every_input else " OR ").join(f"({text})" for text in texts)


def _sure_sql(opened: TaskTable) -> str:
    """How much more probable the model's answer is than the next one, and the answer; NULL if that is not known."""
    label = quote(opened.label_columns.label)
    margin = f"get({label}.alternatives, 0).probability - get({label}.alternatives, 1).probability"
    predicted = f"to_json(named_struct('value', get({label}.alternatives, 0).value))"
    both = f"named_struct('margin', {margin}, 'predicted', {predicted})"
    return f"if({is_about_its_text(label)} AND {margin} IS NOT NULL, {both}, NULL)"
