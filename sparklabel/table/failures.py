"""The rows that have no answer because something failed: a view to look at, as a DataFrame.

In: a table, a task, a key. Out: a DataFrame, which reads the table when it is used.
"""

from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparklabel.labels.status import FAILURES
from sparklabel.sql import quote, sql_list
from sparklabel.table.task_table import open_task_table
from sparklabel.tasks import Task

_FACTS = ("status", "error", "attempts", "model", "pass_id", "labeled_at")


def failures(
    spark: SparkSession,
    table: str,
    task: Task,
    *,
    key: str | Sequence[str],
    column: str | None = None,
    into: str | None = None,
) -> DataFrame:
    """The rows that a pass failed on: key, inputs, and of the record `status`, `error`, `attempts`, `model`, `pass_id`
    and `labeled_at`. Rows that were withheld (`uncertain`) are no failures.

    Raises TableError, ColumnError or KeyColumnError.
    """
    opened = open_task_table(spark, table, task, key, column, into=into)
    names = dict.fromkeys((*opened.keys, *(str(opened.source.column(c)) for c in task.inputs)))
    rows = opened.rows(spark)
    opened.check_labelled(task, "Label it first; or name the table that has them: into='...'.")
    label = quote(opened.label_columns.label)
    failed = rows.where(f"{label}.status IN ({sql_list(FAILURES)}) AND NOT ({label}.source <=> 'human')")
    return failed.select(*map(quote, names), *(F.col(f"{label}.{name}").alias(name) for name in _FACTS))
