"""Staging: answers that are computed and not yet merged, in a Delta table beside the labelled one.

An answer is kept by its input's hash, so that it holds whoever computed it: a pass that died is continued by the next
call, which finds its answers here. Each pass appends to a partition of its own, so that two never conflict.
"""

from dataclasses import dataclass

from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from sparklabel.labels import RETRYABLE, label_ddl, quote, sql_string
from sparklabel.table.commits import retried
from sparklabel.table.plan import HASH
from sparklabel.table.target import Owned, Target
from sparklabel.tasks import Task

_VACUUM_EVERY = 20


@dataclass(frozen=True, slots=True)
class Staging:
    """The staging table of one task in one table, as one pass sees it.

    `adopted_until` (microseconds since 1970): answers of other passes staged up to then are taken over; None where
    there are none.
    """

    path: str
    pass_id: str
    fingerprint: str
    model: str
    adopted_until: int | None = None

    @property
    def sql(self) -> str:
        return f"delta.{quote(self.path)}"

    def append(self, answers: DataFrame) -> tuple[int, int]:
        """Computes `answers` (columns HASH and answer) and commits them: how many, and their prompt tokens."""
        seen = Observation()
        staged = answers.select(
            F.col(HASH).alias("input_hash"), "answer", F.current_timestamp().alias("staged_at"),
            F.lit(self.pass_id).alias("pass_id"),
        )  # fmt: skip
        counted = staged.observe(
            seen, F.count(F.lit(1)).alias("answers"), F.sum("answer.prompt_tokens").alias("tokens")
        )
        counted.write.format("delta").mode("append").save(self.path)
        return int(seen.get["answers"]), int(seen.get["tokens"] or 0)

    def answers(self, spark: SparkSession) -> DataFrame:
        """One answer an input, of this pass or taken over from one that died: input_hash, answer."""
        usable = spark.sql(f"SELECT * FROM {self.sql}").where(self._usable())
        return usable.groupBy("input_hash").agg(F.max_by("answer", "staged_at").alias("answer"))

    def clear(self, spark: SparkSession) -> None:
        """Forgets what was merged. Now and then its files are removed, after Delta's retention."""
        retried(
            lambda: spark.sql(f"DELETE FROM {self.sql} WHERE {self._merged()}"), "Clearing the staging table"
        )
        version = spark.sql(f"DESCRIBE HISTORY {self.sql} LIMIT 1").collect()[0]["version"]
        if version % _VACUUM_EVERY == 0:
            spark.sql(f"VACUUM {self.sql}")

    def _merged(self) -> str:
        own = f"pass_id = {sql_string(self.pass_id)}"
        if self.adopted_until is None:
            return own
        return f"{own} OR staged_at <= timestamp_micros({self.adopted_until})"

    def _usable(self) -> str:
        retryable = ", ".join(map(sql_string, RETRYABLE))
        adopted = f"({self._merged()}) AND answer.status NOT IN ({retryable})"
        return (
            f"answer.task_fingerprint = {sql_string(self.fingerprint)} AND answer.model = {sql_string(self.model)} "
            f"AND (pass_id = {sql_string(self.pass_id)} OR {adopted})"
        )


def open_staging(
    spark: SparkSession, target: Target, owned: Owned, task: Task, model: str, pass_id: str
) -> Staging:
    """The staging table, made where it is missing."""
    path = f"{target.location.rstrip('/')}/_sparklabel/{owned.label}"
    spark.sql(
        f"CREATE TABLE IF NOT EXISTS delta.{quote(path)} (input_hash STRING, answer {label_ddl(task.value_type)}, "
        "staged_at TIMESTAMP, pass_id STRING) USING DELTA PARTITIONED BY (pass_id)"
    )
    newest = spark.sql(f"SELECT unix_micros(max(staged_at)) AS newest FROM delta.{quote(path)}").collect()[0][
        "newest"
    ]
    return Staging(path, pass_id, task.fingerprint, model, adopted_until=newest)
