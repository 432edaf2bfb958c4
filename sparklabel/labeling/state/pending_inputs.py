"""What a large pass still has to answer: its distinct inputs with their texts, in a Delta table beside staging.

Written once a pass, so that a chunk reads its own rows, and neither scans nor hashes the labelled table again. Each
pass has a partition of its own, which it removes at its end; what a killed pass left goes with the next one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from sparklabel.delta.commits import FILES_GO_SOON, best_effort, delete_rows, retry_on_conflict
from sparklabel.delta.snapshot import is_delta, newest_version
from sparklabel.labeling.state.staging import Staging
from sparklabel.sql import quote, sql_list, sql_string
from sparklabel.table.row_states import HASH
from sparklabel.tasks import Task

BUCKETS = 65536
_LEFTOVERS_DAYS = 14
"""Longer than a pass takes. What a pass left that is known to be dead goes with the next one."""
_CLEARING = "Clearing the table of what is to do"
_HOUR = 3600
"""How long files of removed rows stay here (FILES_GO_SOON): longer than a pass takes to write its inputs."""


@dataclass(frozen=True, slots=True)
class PendingInputs:
    """The inputs of one pass, `total` in number, in `BUCKETS` buckets of about the same size."""

    path: str
    pass_id: str
    task: Task
    version: int
    total: int

    @property
    def sql(self) -> str:
        return f"delta.{quote(self.path)}"

    def inputs(self, spark: SparkSession, buckets: tuple[int, int]) -> DataFrame:
        """Those of a range of buckets: their hash, and the inputs as the task names them."""
        texts = (F.col("texts")[i].alias(name) for i, name in enumerate(self.task.inputs))
        return (
            spark.sql(f"SELECT * FROM {self.sql} VERSION AS OF {self.version}")
            .where(
                f"pass_id = {sql_string(self.pass_id)} AND bucket >= {buckets[0]} AND bucket < {buckets[1]}"
            )
            .select(F.col("input_hash").alias(HASH), *texts)
        )


def in_buckets(inputs: DataFrame, staging: Staging, buckets: tuple[int, int]) -> DataFrame:
    """Those of `inputs`, as `plan.distinct_inputs` gives them, that are in a range of this pass's buckets."""
    bucket = _bucket(staging)
    return inputs.where((bucket >= buckets[0]) & (bucket < buckets[1]))


def _bucket(staging: Staging) -> Column:
    """Salted: what a pass that died left over is spread over all buckets again."""
    return F.pmod(F.xxhash64(F.col(HASH), F.lit(staging.pass_id)), F.lit(BUCKETS)).cast("int")


def open_pending_inputs(spark: SparkSession, staging: Staging) -> None:
    """Makes the table where it is missing."""
    create = (
        f"CREATE TABLE IF NOT EXISTS delta.{quote(pending_inputs_path(staging))} (input_hash STRING, "
        "texts ARRAY<STRING>, "
        "bucket INT, pass_id STRING, day DATE) USING DELTA PARTITIONED BY (day, pass_id) "
        f"{FILES_GO_SOON}"
    )
    retry_on_conflict(lambda: spark.sql(create), "Making the table of what is to do")


def write_pending_inputs(
    spark: SparkSession, staging: Staging, task: Task, inputs: DataFrame
) -> PendingInputs:
    """Writes `inputs`, as `plan.distinct_inputs` gives them."""
    path, seen = pending_inputs_path(staging), Observation()
    rows = inputs.select(
        F.col(HASH).alias("input_hash"), F.array(*map(quote, task.inputs)).alias("texts"),
        _bucket(staging).alias("bucket"), F.lit(staging.pass_id).alias("pass_id"), F.current_date().alias("day"),
    )  # fmt: skip
    counted = rows.sortWithinPartitions("bucket").observe(seen, F.count(F.lit(1)).alias("inputs"))
    counted.write.format("delta").mode("append").save(path)
    version = newest_version(spark, f"delta.{quote(path)}")
    return PendingInputs(path, staging.pass_id, task, version, int(seen.get["inputs"]))


def remove_pending_inputs(spark: SparkSession, staging: Staging) -> None:
    """Removes the pass's rows, and those of passes that were killed; and the files of those removed an hour ago: they
    hold texts, which nobody should find who erased them from the table."""
    sql = f"delta.{quote(pending_inputs_path(staging))}"
    # Whole partitions, so that two passes never touch the same files.
    old = f"day < current_date() - INTERVAL {_LEFTOVERS_DAYS} DAYS"
    with best_effort(_CLEARING):
        delete_rows(spark, sql, f"pass_id = {sql_string(staging.pass_id)} OR {old}", _CLEARING)
        if _files_are_due(spark, sql):
            spark.sql(f"VACUUM {sql}").collect()


def remove_leftovers(spark: SparkSession, staging: Staging, dead: Sequence[str]) -> None:
    """Removes the rows of passes that were killed."""
    sql = f"delta.{quote(pending_inputs_path(staging))}"
    if dead and is_delta(spark, sql):
        delete_rows(spark, sql, f"pass_id IN ({sql_list(dead)})", _CLEARING)


def _files_are_due(spark: SparkSession, sql: str) -> bool:
    """Whether files are kept no longer that were when the last pass removed its own: a VACUUM takes many seconds, none
    for nothing. Where it runs is not asked of the history, which has no VACUUM on S3."""
    now = F.unix_timestamp(F.current_timestamp()) - F.unix_timestamp("timestamp")
    rows = (
        spark.sql(f"DESCRIBE HISTORY {sql}").where("operation = 'DELETE'").select(now.alias("age")).collect()
    )
    ages = sorted(row["age"] for row in rows)[1:]  # but this pass's own
    return any(_HOUR < age < ages[0] + _HOUR for age in ages)


def pending_inputs_path(staging: Staging) -> str:
    """Beside the staging table."""
    return f"{staging.path}-todo"
