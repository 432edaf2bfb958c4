"""Features of rows that a pass keeps for reviews: hidden states, in a Delta table beside the labeled one.

In: the spec of a pass, the table that it labeled. Out: features by input hash, for as many inputs as a review asks at
most, in the order in which it draws them. Inputs are kept as hashes only. What is kept already is not read again.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparklabel.delta.commits import STATE_PROPERTIES, WRITE_ERRORS, create_table, delete_rows
from sparklabel.delta.errors import error_message
from sparklabel.delta.kept_rows import keep
from sparklabel.delta.session import task_slots
from sparklabel.delta.snapshot import is_table_folder, newest_version
from sparklabel.delta.tagged_jobs import TaggedJobs
from sparklabel.labeling.state.staging import staging_folder
from sparklabel.labels.predicates import random_order_sql
from sparklabel.progress import WorkProgress, tell
from sparklabel.sql import quote, sql_list, sql_string
from sparklabel.table.row_states import HASH, Scope, distinct_inputs, pending_columns, row_states
from sparklabel.table.task_table import TaskTable
from sparklabel.tasks import Task
from sparklabel.udf import StatesSpec, hidden_states_of, worker_errors

FEATURES = "features"
MOST_ROWS = 20_000
"""As many as a review loads unless it is told otherwise."""
_AT_ONCE = 2_000
_COLUMNS = (
    "input_hash STRING, model STRING, task STRING, task_fingerprint STRING, states BINARY, kept_at TIMESTAMP"
)
_WHAT = "Keeping features"


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """The features of a table's rows, as one version of a task reads them. `location`: the folder of the table that has
    the labels."""

    location: str
    task: str
    fingerprint: str

    @classmethod
    def of(cls, opened: TaskTable, task: Task) -> "FeatureTable":
        return cls(opened.target.location, task.name, task.fingerprint)

    @property
    def path(self) -> str:
        return f"{staging_folder(self.location)}/{FEATURES}"

    @property
    def sql(self) -> str:
        return f"delta.{quote(self.path)}"

    def model(self, spark: SparkSession) -> str:
        """The identity of the model whose states were kept last; empty if none were."""
        if not is_table_folder(spark, self.path):
            return ""
        newest = self._own(spark).groupBy("model").agg(F.max("kept_at").alias("at"))
        found = newest.orderBy(F.desc("at")).first()
        return str(found["model"]) if found else ""

    def read(self, spark: SparkSession, model: str, hashes: Sequence[str]) -> dict[str, bytes]:
        """The states of these inputs, float16 and little-endian, of those that have any."""
        if not hashes:
            return {}
        wanted = f"model = {sql_string(model)} AND input_hash IN ({sql_list(hashes)})"
        found = self._own(spark).where(wanted).select("input_hash", "states").toArrow()
        return dict(zip(found["input_hash"].to_pylist(), found["states"].to_pylist(), strict=True))

    def known(self, spark: SparkSession, model: str) -> DataFrame:
        """HASH of all inputs that have states of the model, in the version that is current now: read without one, it
        would conflict with others' appends."""
        version = f" VERSION AS OF {newest_version(spark, self.sql)}"
        return (
            self._own(spark, version)
            .where(f"model = {sql_string(model)}")
            .select(F.col("input_hash").alias(HASH))
        )

    def create(self, spark: SparkSession) -> None:
        """Makes it, unless it is there."""
        create_table(spark, self.sql, _COLUMNS, STATE_PROPERTIES, _WHAT)

    def append(self, spark: SparkSession, inputs: DataFrame, spec: StatesSpec) -> None:
        """Reads the states of `inputs` (HASH and texts), and adds them."""
        rows = inputs.select(
            F.col(HASH).alias("input_hash"), F.lit(spec.base.identity).alias("model"),
            F.lit(self.task).alias("task"), F.lit(self.fingerprint).alias("task_fingerprint"),
            hidden_states_of(spec).alias("states"), F.current_timestamp().alias("kept_at"),
        )  # fmt: skip
        rows.write.format("delta").mode("append").save(self.path)

    def drop_earlier(self, spark: SparkSession) -> None:
        """Removes what was read for earlier versions of the task."""
        where = f"task = {sql_string(self.task)} AND task_fingerprint <> {sql_string(self.fingerprint)}"
        delete_rows(spark, self.sql, where, _WHAT)

    def _own(self, spark: SparkSession, version: str = "") -> DataFrame:
        where = f"task_fingerprint = {sql_string(self.fingerprint)}"
        return spark.sql(f"SELECT * FROM {self.sql}{version} WHERE {where}")


def keep_features(
    spark: SparkSession, opened: TaskTable, task: Task, spec: StatesSpec, where: str | None, *, progress: bool
) -> None:
    """Reads the inputs of the table that a review draws first, and keeps what it read. A failure and Ctrl-C are told,
    and keep what was read before: the labels of the pass are in the table already.

    Args:
        spark: The session.
        opened: The table, as the pass left it.
        task: The task.
        spec: Who reads.
        where: A SQL condition that narrows the rows.
        progress: Show progress on stderr.
    """
    kept = FeatureTable.of(opened, task)
    with ExitStack() as stack, TaggedJobs(spark, "sparklabel-features") as jobs:
        try:
            kept.create(spark)
            rows = row_states(spark, opened, task, Scope(relabel="none", where=where))
            inputs = distinct_inputs(rows.select(*pending_columns(opened, task)), task)
            drawn = inputs.orderBy(F.expr(random_order_sql(HASH))).limit(MOST_ROWS)
            new = keep(drawn.join(kept.known(spark, spec.base.identity), HASH, "left_anti"), stack)
            number = new.count()
            parts = -(-number // _AT_ONCE)
            with WorkProgress(f"{task.name}: features", number, progress, "starting the model") as bar:
                for part in range(parts):
                    some = new.where(F.pmod(F.xxhash64(HASH), F.lit(parts)) == part)
                    with worker_errors():
                        kept.append(spark, some.repartition(task_slots(spark)), spec)
                    bar.advance(some.count())
            if number:
                kept.drop_earlier(spark)
        except KeyboardInterrupt:
            jobs.stop()
            tell("keeping features was interrupted: the same call reads the rest")
        except WRITE_ERRORS as error:
            tell(f"features of {opened.source.name} were not kept, or not all: {error_message(error)}")
