"""Staging: answers that are computed and not yet merged, in a Delta table beside the labeled one.

Answers are keyed by their input's hash, so that it does not matter which pass computed them: the next call continues a
pass that died. Each pass appends to its own partition, so that two passes never conflict. A pass's `Lease` and its
heartbeats are rows here, too.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from sparklabel.delta.commits import (
    STATE_PROPERTIES,
    create_table,
    delete_matching,
    delete_rows,
    retry_on_conflict,
    tidying_is_due,
)
from sparklabel.delta.errors import error_message, spark_errors, storage_refusal
from sparklabel.delta.snapshot import TableSnapshot, is_delta, newest_version
from sparklabel.errors import TableError
from sparklabel.labeling.stats import ChunkStats
from sparklabel.labels.record import label_ddl
from sparklabel.labels.status import RETRYABLE
from sparklabel.sql import quote, sql_list, sql_string
from sparklabel.table.label_columns import LabelColumns
from sparklabel.table.row_states import ANSWER, HASH
from sparklabel.table.schema_evolution import missing_fields, record_type
from sparklabel.tasks import Task

STATE_FOLDER = "_sparklabel"
"""Inside a table's folder; Delta's VACUUM passes over names that begin with _."""
CACHED = 0
"""The chunk number of answers that came from the cache."""
TODO = "-todo"
"""What the name of a table of pending texts ends with, which earlier releases wrote beside staging."""
CLEARING = "Clearing the staging table"
_FIRST_COLUMNS = (
    "input_hash STRING, answer STRUCT<value: {value}, confidence: DOUBLE, raw_confidence: DOUBLE, "
    "alternatives: ARRAY<STRUCT<value: {value}, probability: DOUBLE>>, "
    "field_confidence: ARRAY<STRUCT<field: STRING, confidence: DOUBLE>>, "
    "status: STRING, error: STRING, source: STRING, model: STRING, task_fingerprint: STRING, "
    "input_hash: STRING, pass_id: STRING, attempts: INT, labeled_at: TIMESTAMP, "
    "reviewer: STRING, reviewed_at: TIMESTAMP, review_reason: STRING, prompt_tokens: INT, output_tokens: INT>, "
    "staged_at TIMESTAMP, pass_id STRING, decision STRING, chunk INT, lease STRING"
)
"""Of the first release, for values of a SQL type. Their hash names the folder, so that what an earlier release staged
is found: this text does not change. Columns and fields that came later are added to the table that is there."""
_KEPT_DAYS = 30
"""Answers that no later pass used (another model, a dropped task) are removed after this."""


@dataclass(frozen=True, slots=True)
class Staging:
    """The staging table of a task and a table, as one pass uses it."""

    path: str
    pass_id: str
    fingerprint: str
    models: tuple[str, ...]
    decision: str

    @property
    def sql(self) -> str:
        return f"delta.{quote(self.path)}"

    def append(self, answers: DataFrame, chunk: int) -> ChunkStats:
        """Computes `answers` (HASH, ANSWER) and commits them as a chunk. A chunk that was committed before is not
        written again."""
        seen = Observation()
        staged = answers.select(
            F.col(HASH).alias("input_hash"), F.col(ANSWER).alias("answer"), F.current_timestamp().alias("staged_at"),
            F.lit(self.pass_id).alias("pass_id"), F.lit(self.decision).alias("decision"), F.lit(chunk).alias("chunk"),
        )  # fmt: skip
        counted = staged.observe(
            seen, F.count(F.lit(1)).alias("answers"), F.sum("answer.prompt_tokens").alias("tokens"),
            F.sum("answer.output_tokens").alias("written"),
            F.count_if(F.col("answer.status").isin(*RETRYABLE)).alias("failed"),
        )  # fmt: skip
        writer = counted.write.format("delta").mode("append")
        writer.option("txnAppId", self.pass_id).option("txnVersion", chunk).save(self.path)
        counts = {name: int(value or 0) for name, value in seen.get.items()}
        return ChunkStats(counts["answers"], counts["failed"], counts["tokens"], counts["written"])

    def holds_answers(self, spark: SparkSession) -> bool:
        """Whether there are usable answers, of this pass or another."""
        return bool(self.answers(spark).take(1))

    def answers(
        self, spark: SparkSession, after: int = 0, pinned: bool = False, own: bool = False
    ) -> DataFrame:
        """One usable answer per input (HASH, ANSWER), from this pass or another one with the same models, task,
        calibrator and threshold.

        Args:
            after: Only this pass's chunks after that number.
            pinned: Read the current version. Needed if the result is appended here: Delta would report a conflict
                with other passes' heartbeats.
            own: Only this pass's answers, of which there is one per input.
        """
        done = f"answer.status NOT IN ({sql_list(RETRYABLE)})"
        mine = f"pass_id = {sql_string(self.pass_id)}"
        scope = f"{mine} AND chunk > {after}" if after else mine if own else f"({mine} OR {done})"
        version = f" VERSION AS OF {newest_version(spark, self.sql)}" if pinned else ""
        staged = spark.sql(f"SELECT * FROM {self.sql}{version}").where(f"{self._ours()} AND {scope}")
        if own:
            return staged.select(F.col("input_hash").alias(HASH), F.col("answer").alias(ANSWER))
        return staged.groupBy(F.col("input_hash").alias(HASH)).agg(
            F.max_by("answer", "staged_at").alias(ANSWER)
        )

    def computed(self, spark: SparkSession) -> DataFrame:
        """What this pass computed (HASH, ANSWER). Answers of other passes may come from another engine."""
        staged = spark.sql(f"SELECT * FROM {self.sql}")
        own = staged.where(f"pass_id = {sql_string(self.pass_id)} AND chunk > {CACHED}")
        return own.select(F.col("input_hash").alias(HASH), F.col("answer").alias(ANSWER))

    def clear(self, spark: SparkSession, merged: DataFrame | None, dead: Sequence[str], commits: int) -> None:
        """Removes this pass's answers and lease, the leases of the `dead` passes, and other passes' answers to the
        inputs of `merged`, rows with a `record`. Other answers stay: they may be of another model, or outside `where`.
        Now and then it vacuums; `commits` is at least the number of commits that this pass made here.
        """
        if merged is not None:
            hashes = merged.select(F.col("record.input_hash").alias(HASH)).distinct()
            taken_over = f"t.input_hash = s.{HASH} AND {self._ours('t.')}"
            delete_matching(spark, self.sql, hashes, taken_over, CLEARING)
        self._delete(spark, f"pass_id = {sql_string(self.pass_id)}")  # a partition: no file of it is read
        if dead:
            self._delete(spark, f"pass_id IN ({sql_list(dead)}) AND lease IS NOT NULL")
            self._remove_inputs(spark)
        if tidying_is_due(spark, self.sql, commits):
            self._delete(spark, f"staged_at < now() - INTERVAL {_KEPT_DAYS} DAYS")
            spark.sql(f"VACUUM {self.sql}").collect()

    def _remove_inputs(self, spark: SparkSession) -> None:
        """Removes the pending texts that earlier releases wrote beside staging, and that a killed pass left there."""
        inputs = f"delta.{quote(self.path + TODO)}"
        if is_delta(spark, inputs):
            delete_rows(spark, inputs, "true", CLEARING)
            spark.sql(f"VACUUM {inputs}").collect()

    def _delete(self, spark: SparkSession, where: str) -> None:
        delete_rows(spark, self.sql, where, CLEARING)

    def _ours(self, table: str = "") -> str:
        return (
            f"{table}answer.task_fingerprint = {sql_string(self.fingerprint)} "
            f"AND {table}answer.model IN ({sql_list(self.models)}) AND {table}decision = {sql_string(self.decision)}"
        )


def staging_folder(location: str, root: str | None = None) -> str:
    """Where the staging tables of the table at `location` are: inside its folder, or in `root`, which may serve many
    tables."""
    if root is None:
        return f"{location.rstrip('/')}/{STATE_FOLDER}"
    return f"{root.rstrip('/')}/{hashlib.sha256(location.encode()).hexdigest()[:16]}"


def open_staging(
    spark: SparkSession,
    target: TableSnapshot,
    label_columns: LabelColumns,
    task: Task,
    models: Iterable[str],
    pass_id: str,
    decision: str = "",
    root: str | None = None,
) -> Staging:
    """The staging table, created if it is missing. Each type of value has its own.

    Args:
        decision: How probabilities become answers: with another threshold or calibrator, an answer is another one.
        root: The folder to create it in; by default inside the table's folder.

    Raises:
        TableError: It cannot be created.
    """
    record = label_ddl(task.value_type)
    columns = (
        f"input_hash STRING, answer {record}, staged_at TIMESTAMP_LTZ, pass_id STRING, decision STRING, chunk INT, "
        "lease STRING"
    )
    record_format = hashlib.sha256(_FIRST_COLUMNS.format(value=task.value_type).encode()).hexdigest()[:8]
    path = f"{staging_folder(target.location, root)}/{label_columns.label}-{record_format}"
    sql, what = f"delta.{quote(path)}", "Creating the staging table"
    try:
        create_table(spark, sql, columns, STATE_PROPERTIES, what, ["pass_id"])
        retry_on_conflict(lambda: _add_fields(spark, sql, task), what)
    except spark_errors() as error:
        refusal = storage_refusal(error)
        hint = "Make room, or get permission to write, and call again; or name" if refusal else "Name"
        raise TableError(
            f"The staging table in {path} cannot be created: {refusal or error_message(error)}",
            hint=f"{hint} another folder with staging=.",
        ) from None
    return Staging(path, pass_id, task.fingerprint, tuple(models), decision)


def _add_fields(spark: SparkSession, sql: str, task: Task) -> None:
    """Adds the fields that the records of an earlier release lack."""
    staged = spark.sql(f"SELECT answer FROM {sql}").schema["answer"].dataType
    if missing := list(missing_fields(record_type(task), staged, ("answer",))):
        spark.sql(f"ALTER TABLE {sql} ADD COLUMNS ({', '.join(f'{path} {ddl}' for path, ddl in missing)})")
