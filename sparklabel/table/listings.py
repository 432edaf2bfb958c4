"""Rows of a labeled table to look at: those that people answered, and those that a pass failed on.

In: a table, a task. Out: a lazy DataFrame. Training and evaluation read answers with `human_answers`.
"""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from sparklabel.labels.predicates import human_sql, model_value_sql
from sparklabel.labels.status import FAILURES
from sparklabel.sql import quote, sql_list
from sparklabel.table.row_states import labeled_rows
from sparklabel.table.task_table import TaskTable, open_labeled
from sparklabel.tasks import Task

_REVIEW = ("reviewer", "reviewed_at", "review_reason")
_FACTS = ("status", "error", "attempts", "model", "pass_id", "labeled_at")


def answers(
    spark: SparkSession,
    table: str,
    task: Task,
    *,
    key: str | Sequence[str] | None = None,
    column: str | None = None,
    into: str | None = None,
) -> DataFrame:
    """The rows that people answered, by a plain UPDATE or by setting the record's source to 'human'.

    Args:
        key: The columns that identify each row; only needed if no pass has remembered them.
        column: The value column, if it is not named as the task.
        into: The table that has the labels, if `table` has not.

    Returns:
        One row per answer: the key, the inputs, `answer`, `model_answer` (what the model had said, NULL without one),
        `reviewer`, `reviewed_at` and `review_reason`.

    Raises:
        TableError, ColumnError or KeyColumnError.
    """
    opened = open_labeled(spark, table, task, key, column, into)
    value, label = quote(opened.label_columns.value), quote(opened.label_columns.label)
    return _listed(
        spark, opened, task, human_sql(value, label), F.expr(value).alias("answer"),
        F.expr(model_value_sql(label)).alias("model_answer"), *_fields(label, _REVIEW),
    )  # fmt: skip


def failures(
    spark: SparkSession,
    table: str,
    task: Task,
    *,
    key: str | Sequence[str] | None = None,
    column: str | None = None,
    into: str | None = None,
) -> DataFrame:
    """The rows that a pass failed on. Abstentions (`uncertain`) are not failures.

    Args:
        key: The columns that identify each row; only needed if no pass has remembered them.
        column: The value column, if it is not named as the task.
        into: The table that has the labels, if `table` has not.

    Returns:
        The key, the inputs, and `status`, `error`, `attempts`, `model`, `pass_id` and `labeled_at` of the record.

    Raises:
        TableError, ColumnError or KeyColumnError.
    """
    opened = open_labeled(spark, table, task, key, column, into)
    label = quote(opened.label_columns.label)
    failed = f"{label}.status IN ({sql_list(FAILURES)}) AND NOT ({label}.source <=> 'human')"
    return _listed(spark, opened, task, failed, *_fields(label, _FACTS))


def _listed(spark: SparkSession, opened: TaskTable, task: Task, where: str, *columns: Column) -> DataFrame:
    """Key and inputs of the rows of `where`, and `columns`."""
    names = map(quote, opened.key_and_inputs(task))
    return labeled_rows(spark, opened, task).where(where).select(*names, *columns)


def _fields(label: str, names: Sequence[str]) -> list[Column]:
    return [F.col(f"{label}.{name}").alias(name) for name in names]
