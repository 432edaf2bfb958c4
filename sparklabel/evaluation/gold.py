"""Gold answers to compare a model's answers with: a column of them, or what people answered.

In: a DataFrame, or a table and where its labels are. Out: `Gold`, rows with inputs and gold answers. No model is asked
here, and nothing is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, NumericType, StringType, StructField, StructType

from sparklabel.delta.data_types import same_type
from sparklabel.delta.snapshot import TableSnapshot, open_snapshot
from sparklabel.errors import AnswersError, ColumnError, TableError
from sparklabel.labels.predicates import input_hash_sql
from sparklabel.sql import quote
from sparklabel.table.driver_rows import row_size, rows_taken
from sparklabel.table.human_answers import human_answers
from sparklabel.table.schema_evolution import is_record
from sparklabel.table.task_table import open_task_table
from sparklabel.tasks import AnswerMode, Scored, Task
from sparklabel.tasks.json_values import plain
from sparklabel.texts import counted

GOLD = "_gold"


@dataclass(frozen=True, slots=True)
class Gold:
    """Rows to judge a model on.

    Attributes:
        rows: The task's inputs by their names, and the gold answer (GOLD).
        table: The table that has the gold answers; None for a DataFrame.
        without_gold: Rows that were left out because they have no gold answer.
        set_aside: Human answers that were left out because they do not judge.
        not_asked: Rows with an answer beyond those that the driver takes.
    """

    rows: DataFrame
    table: TableSnapshot | None = None
    without_gold: int = 0
    set_aside: int = 0
    not_asked: int = 0


def gold_column(spark: SparkSession, table: DataFrame | str, task: Task, gold: str) -> Gold:
    """All rows, with the column `gold` as their gold answers; nothing is read yet.

    Raises:
        TableError: The table cannot be opened.
        ColumnError: An input or `gold` is missing; or `gold` has another type than the task's values, or is a column
            that passes write.
    """
    if isinstance(table, str):
        snapshot = open_snapshot(spark, table)
        return replace(gold_column(spark, snapshot.read(spark), task, gold), table=snapshot)
    _check_columns(table, (*task.inputs, gold))
    _check_not_written_by_passes(table, gold)
    _check_type(table, gold, task)
    answers = F.col(quote(gold)).cast(task.value_type).alias(GOLD)
    return Gold(table.select(answers, *map(quote, task.inputs)))


def asked_rows(gold: Gold, column: str, task: Task) -> Gold:
    """The rows whose gold `column` has an answer; NULL is one only if the task accepts it. Of more than the driver
    takes, a sample by a hash of their inputs. Runs two aggregations.

    Raises:
        AnswersError: No row has an answer, or one has a value that the task does not accept.
    """
    mode = task.answer_mode
    has_answer = F.lit(True) if mode.accepts(None) else F.col(GOLD).isNotNull()
    known = gold.rows.where(has_answer)
    size = F.sum(F.when(has_answer, row_size(GOLD)))  # the texts stay on the executors
    count, total, missing = gold.rows.agg(F.count_if(has_answer), size, F.count_if(~has_answer)).collect()[0]
    if not count:
        raise AnswersError(f"There is nothing to evaluate: {column!r} has a gold answer in no row.")
    most = rows_taken(count, total)
    if most < count:
        known = known.orderBy(F.expr(input_hash_sql([quote(name) for name in task.inputs]))).limit(most)
    counts = [(plain(row[GOLD]), int(row["count"])) for row in known.groupBy(GOLD).count().collect()]
    if wrong := [(value, number) for value, number in counts if not mode.accepts(value)]:
        raise AnswersError(
            f"{column!r} holds {wrong[0][0]!r}, which is not {_an_answer(mode)}",
            hint=f"Leave {counted(sum(number for _, number in wrong), 'row')} out, or set the column to NULL there.",
        )
    return replace(gold, rows=known, without_gold=missing, not_asked=count - most)


def human_gold(
    spark: SparkSession,
    table: DataFrame | str,
    task: Task,
    key: str | Sequence[str] | None,
    column: str | None,
    into: str | None,
) -> Gold:
    """The human answers that the gate judges on, whichever model is evaluated. The task accepts all of them.

    Raises:
        TableError: `table` is a DataFrame, or has no `key`; or it cannot be opened.
        ColumnError: The table has no labels of the task, or an input is missing.
        KeyColumnError: The key has NULLs or duplicates, in the table or in the one for the labels.
        AnswersError: No human answer judges.
    """
    if not isinstance(table, str):
        raise TableError(
            "There is nothing to compare with.",
            hint="Name a column of gold answers, gold=...; or give a labeled table, to compare with what people "
            "answered there.",
        )
    opened = open_task_table(spark, table, task, key, column, into=into)
    opened.check_labeled(
        task, "Label it and correct some rows, or name a column of gold answers: gold='...'."
    )
    opened.check_one_label_each(spark)
    answers = human_answers(spark, opened, task)
    set_aside = len(answers.train) + sum(answers.left_out.values()) - answers.not_read
    if not answers.held_out:
        raise AnswersError(
            f"There is nothing to evaluate: of {set_aside:,} human answers in {opened.label_columns.value!r}, none is "
            "held out to judge.",
            hint="A fixed fifth of the inputs is held out: answer more rows.",
        )
    fields = [StructField(GOLD, DataType.fromDDL(task.value_type))]
    schema = StructType([*fields, *(StructField(name, StringType()) for name in task.inputs)])
    rows = spark.createDataFrame([(one.answer, *one.inputs) for one in answers.held_out], schema)
    return Gold(rows, opened.target, set_aside=set_aside, not_asked=answers.not_read)


def _an_answer(mode: AnswerMode) -> str:
    if not isinstance(mode, Scored) or mode.groups:
        return "an answer to the task."
    more = ", ..." if len(mode.names) > 10 else "."
    return f"one of the answers: {', '.join(mode.names[:10])}{more}"


def _check_not_written_by_passes(frame: DataFrame, gold: str) -> None:
    """Raises ColumnError if passes write the column: a model would be judged by what a model answered."""
    records = {field.name.lower() for field in frame.schema if is_record(field.dataType)}
    if f"{gold}_label".lower() in records:
        raise ColumnError(
            f"{gold!r} is written by labeling passes: a model's own answers would count as gold.",
            hint="Leave gold= out and give the table's key, to compare with what people answered there.",
        )


def _check_type(frame: DataFrame, gold: str, task: Task) -> None:
    """Raises ColumnError unless gold has the type of the task's values. Any numeric type counts as a number, and any
    single value can be a text."""
    found, wanted = frame.select(quote(gold)).schema[0].dataType, DataType.fromDDL(task.value_type)
    fits = (
        same_type(found, wanted)
        or (isinstance(wanted, NumericType) and isinstance(found, NumericType))
        or (isinstance(wanted, StringType) and not isinstance(found, ArrayType | StructType))
    )
    if not fits:
        raise ColumnError(
            f"{gold!r} is {found.simpleString()}, but the task's values are {wanted.simpleString()}.",
            hint=f"Name a column of type {wanted.simpleString()}.",
        )


def _check_columns(frame: DataFrame, names: Sequence[str]) -> None:
    existing = {column.lower() for column in frame.columns}
    if missing := [name for name in names if name.lower() not in existing]:
        raise ColumnError(
            f"There is no column {missing[0]!r} to evaluate.",
            hint=f"The columns are: {', '.join(frame.columns)}.",
        )
