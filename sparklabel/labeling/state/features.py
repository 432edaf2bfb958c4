"""Features of rows that a pass keeps for reviews: hidden states, in a Delta table beside the labeled one.

In: the spec of a pass, the table that it labeled. Out: hidden states by input hash, of the inputs that a review draws
(`table.draw`). Inputs are kept as hashes only. What is kept already is not read again.
"""

import hashlib
import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparklabel.delta.commits import (
    STATE_PROPERTIES,
    WRITE_ERRORS,
    create_table,
    delete_rows,
    tidying_is_due,
)
from sparklabel.delta.errors import error_message
from sparklabel.delta.session import task_slots
from sparklabel.delta.snapshot import UNVERSIONED, is_table_folder, newest_version
from sparklabel.delta.tagged_jobs import TaggedJobs
from sparklabel.labeling.state.staging import staging_folder
from sparklabel.probe.hidden_states import PROBE_DEPTH
from sparklabel.progress import WorkProgress, tell
from sparklabel.sql import quote, sql_list, sql_string
from sparklabel.table.draw import askable_rows, draw_inputs, hash_frame
from sparklabel.table.row_states import HASH, distinct_inputs, labeled_rows, pending_columns
from sparklabel.table.shards import Shard
from sparklabel.table.task_table import TaskTable
from sparklabel.tasks import Task
from sparklabel.udf import HiddenStatesSpec, hidden_states_of, worker_errors

FEATURES = "features"
MOST_ROWS = 20_000
"""As many as a review draws at random unless it is told otherwise."""
_AT_ONCE = 2_000
_COLUMNS = "input_hash STRING, model STRING, task STRING, reading STRING, states BINARY, kept_at TIMESTAMP"
_READING = 1
"""The version of how a row is rendered and what is read of it; raised when that changes."""
_WHAT = "Keeping features"


def reading_of(task: Task) -> str:
    """What hidden states depend on beside the model and the texts: rows are rendered without instructions and labels,
    so that guidelines can change without a row being read again."""
    content = json.dumps([_READING, PROBE_DEPTH, task.name, list(task.inputs)])
    return hashlib.sha256(content.encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """The features of a table's rows for one task. `location`: the folder of the table that has the labels."""

    location: str
    task: str
    reading: str

    @classmethod
    def of(cls, opened: TaskTable, task: Task) -> "FeatureTable":
        return cls(opened.target.location, task.name, reading_of(task))

    @property
    def path(self) -> str:
        return f"{staging_folder(self.location)}/{FEATURES}"

    @property
    def sql(self) -> str:
        return f"delta.{quote(self.path)}"

    def model(self, spark: SparkSession) -> str:
        """The identity of the model whose states were kept last; empty if none were."""
        if not self.location or not is_table_folder(spark, self.path):
            return ""
        newest = self._own(spark).groupBy("model").agg(F.max("kept_at").alias("at"))
        found = newest.orderBy(F.desc("at")).first()
        return str(found["model"]) if found else ""

    def read(self, spark: SparkSession, model: str, hashes: Sequence[str]) -> dict[str, bytes]:
        """The states of these inputs, float16 and little-endian, of those that have any."""
        if not hashes:
            return {}
        wanted = f"model = {sql_string(model)} AND states IS NOT NULL AND input_hash IN ({sql_list(hashes)})"
        found = self._own(spark).where(wanted).select("input_hash", "states").toArrow()
        return dict(zip(found["input_hash"].to_pylist(), found["states"].to_pylist(), strict=True))

    def missing(self, spark: SparkSession, model: str, hashes: Sequence[str]) -> list[str]:
        """Those of these inputs that were not read with the model yet."""
        # Of a version: read without one, it would conflict with others' appends.
        known = self._own(spark, f" VERSION AS OF {newest_version(spark, self.sql)}")
        known = known.where(f"model = {sql_string(model)}").select(F.col("input_hash").alias(HASH))
        left = hash_frame(spark, hashes).join(known, HASH, "left_anti").toArrow()
        return [str(one) for one in left[HASH].to_pylist()]

    def create(self, spark: SparkSession) -> None:
        """Makes it, unless it is there."""
        create_table(spark, self.sql, _COLUMNS, STATE_PROPERTIES, _WHAT)

    def append(self, spark: SparkSession, inputs: DataFrame, spec: HiddenStatesSpec) -> None:
        """Reads the states of `inputs` (HASH and texts), and adds them; NULL where the model fails on a row."""
        rows = inputs.select(
            F.col(HASH).alias("input_hash"), F.lit(spec.base.identity).alias("model"),
            F.lit(self.task).alias("task"), F.lit(self.reading).alias("reading"),
            hidden_states_of(spec).alias("states"), F.current_timestamp().alias("kept_at"),
        )  # fmt: skip
        rows.write.format("delta").mode("append").save(self.path)

    def drop_others(self, spark: SparkSession, model: str, commits: int) -> None:
        """Removes what other models read of the task, and what was read in another way. Now and then it vacuums;
        `commits` is how many were made here before."""
        current = f"reading = {sql_string(self.reading)} AND model = {sql_string(model)}"
        delete_rows(spark, self.sql, f"task = {sql_string(self.task)} AND NOT ({current})", _WHAT)
        if tidying_is_due(spark, self.sql, commits + 1):
            spark.sql(f"VACUUM {self.sql}").collect()

    def _own(self, spark: SparkSession, version: str = "") -> DataFrame:
        where = f"task = {sql_string(self.task)} AND reading = {sql_string(self.reading)}"
        return spark.sql(f"SELECT * FROM {self.sql}{version} WHERE {where}")


def keep_features(
    spark: SparkSession,
    opened: TaskTable,
    spec: HiddenStatesSpec,
    where: str | None,
    shard: Shard | None,
    *,
    seconds_left: float | None,
    progress: bool,
) -> None:
    """Reads the inputs of the table that a review draws, and keeps what it read. A failure and Ctrl-C are told, and
    keep what was read before: the labels of the pass are in the table already.

    Args:
        spark: The session.
        opened: The table, as the pass found it.
        spec: Who reads the rows of which task.
        where: A SQL condition that narrows the rows.
        shard: The part of the drawn inputs that is read; None for all.
        seconds_left: When to stop; None for no limit.
        progress: Show progress on stderr.
    """
    began = time.monotonic()
    with TaggedJobs(spark, f"sparklabel-features-{uuid.uuid4()}") as jobs:
        try:
            opened = opened.newest(spark, spec.task)
            if opened.target.version == UNVERSIONED:
                return  # nothing was labeled: the table of labels is not there
            kept = FeatureTable.of(opened, spec.task)
            kept.create(spark)
            draw = draw_inputs(askable_rows(spark, opened, spec.task, where), opened, spec.task, MOST_ROWS)
            drawn = [one for one in (*draw.random, *draw.unsure) if shard is None or _is_in(one, shard)]
            new = kept.missing(spark, spec.base.identity, drawn)
            parts, read = _parts(new), 0
            with WorkProgress(f"{spec.task.name}: features", len(new), progress, "starting the model") as bar:
                for part in parts:
                    if seconds_left is not None and time.monotonic() - began >= seconds_left:
                        tell(f"features: {len(new) - read:,} rows are left for the next call (max_seconds)")
                        break
                    inputs = _inputs(spark, opened, spec.task, part)
                    with worker_errors():
                        kept.append(spark, inputs.repartition(task_slots(spark)), spec)
                    read += len(part)
                    bar.advance(len(part))
            if read:
                kept.drop_others(spark, spec.base.identity, len(parts))
        except KeyboardInterrupt:
            jobs.stop()
            tell("keeping features was interrupted: the same call reads the rest")
        except WRITE_ERRORS as error:
            tell(f"features of {opened.source.name} were not kept, or not all: {error_message(error)}")


def _is_in(input_hash: str, shard: Shard) -> bool:
    """Whether the input is one of the shard's: by its own hash, as rows with other keys may have it, too."""
    return int(input_hash[-8:], 16) % shard.of == shard.number


def _parts(hashes: Sequence[str]) -> list[Sequence[str]]:
    return [hashes[first : first + _AT_ONCE] for first in range(0, len(hashes), _AT_ONCE)]


def _inputs(spark: SparkSession, opened: TaskTable, task: Task, hashes: Sequence[str]) -> DataFrame:
    """HASH and texts of these inputs, each once."""
    rows = labeled_rows(spark, opened, task).join(hash_frame(spark, hashes), HASH)
    return distinct_inputs(rows.select(*pending_columns(opened, task)), task)
