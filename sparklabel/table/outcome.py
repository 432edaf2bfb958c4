"""What came of a pass: rows by status, rows that kept their older answer, what the engine said.

In: an opened table, staged answers. Out: counts and texts. Reads only.
"""

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparklabel.labels import RETRYABLE, keeps_older_sql, quote
from sparklabel.table.opening import TaskTable
from sparklabel.table.plan import ANSWER, HASH


def records_of(spark: SparkSession, opened: TaskTable, model: str, fingerprint: str) -> DataFrame:
    """The records of a model's answers to a version of the task, as `record`."""
    own = (F.col("record.model") == model) & (F.col("record.task_fingerprint") == fingerprint)
    return _records(spark, opened).where(own)


def rows_by_status(spark: SparkSession, opened: TaskTable, pass_id: str) -> dict[str, int]:
    """Of the rows that have a pass's answer."""
    written = _records(spark, opened).where(F.col("record.pass_id") == pass_id)
    rows = written.groupBy("record.status").agg(F.count("*").alias("rows")).collect()
    return {row["status"]: row["rows"] for row in rows}


def rows_kept(opened: TaskTable, pending: DataFrame, answers: DataFrame) -> int:
    """How many pending rows keep the answer that they have, because the engine failed on their new one."""
    keeps = keeps_older_sql(quote(opened.owned.label), ANSWER, HASH)
    return pending.join(_failed(answers), HASH).where(keeps).count()


def failure_of(answers: DataFrame) -> str:
    """What the engine said of one input that it failed on."""
    (row,) = _failed(answers).select(F.min(f"{ANSWER}.error").alias("error")).collect()
    return row["error"] or ""


def _failed(answers: DataFrame) -> DataFrame:
    return answers.where(F.col(f"{ANSWER}.status").isin(*RETRYABLE))


def _records(spark: SparkSession, opened: TaskTable) -> DataFrame:
    """What the table's column of records holds now."""
    return spark.sql(f"SELECT {quote(opened.owned.label)} AS record FROM {opened.target.sql}")
