"""`label_stream`: labels the rows of a table as they arrive.

In: what a pass takes, and a checkpoint folder. Out: a running query. Each micro-batch of appended rows is a pass over
these rows alone; now and then a pass over the whole table answers rows that were updated or upserted.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Unpack

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery

from sparklabel.arguments import check_arguments
from sparklabel.delta.log_stores import check_stores
from sparklabel.delta.paths import is_absolute_path
from sparklabel.delta.session import check_session, is_connect
from sparklabel.delta.snapshot import UNVERSIONED, check_folders, folder_of
from sparklabel.engines import EngineOptions, engine_spec
from sparklabel.errors import ConflictError, EngineError, TableError
from sparklabel.labeling.arguments import EngineArguments
from sparklabel.labeling.executor import ensure_columns, run_passes
from sparklabel.labeling.increment import read_changed
from sparklabel.labeling.limits import DEFAULT_ERROR_RATIO, MAX_ERROR_RATIO, PassLimits
from sparklabel.labeling.options import StorageOptions
from sparklabel.labeling.plan import make_plan
from sparklabel.labeling.report import PassReport
from sparklabel.labeling.request import PassRequest, calibrated_spec
from sparklabel.labels.predicates import input_hash_sql
from sparklabel.models.references import DEFAULT
from sparklabel.sql import quote, sql_string
from sparklabel.table.examples import check_examples
from sparklabel.table.labels_table import check_labels_key
from sparklabel.table.row_states import Scope
from sparklabel.table.task_table import TaskTable, open_task_table
from sparklabel.tasks import Task
from sparklabel.udf import LabelerSpec, check_threshold, labeler_spec, prepare, with_fallback

_ARGUMENTS = (
    "key", "checkpoint", "model", "engine", "fallback", "fallback_below", "fallback_engine", "trigger", "sweep_every",
    "where", "column", "adopt_examples", "into", "min_confidence", "max_error_ratio",
    "max_new_corrections", "staging", "cache", "allow_unsafe_store",
    *EngineArguments.__annotations__,
)  # fmt: skip
_ROW = "_sparklabel_row"
_WAITS, _WAIT_SECONDS = 60, 10.0
"""How often a batch waits for another pass on the same rows before the query fails."""


def label_stream(
    spark: SparkSession,
    table: str,
    task: Task,
    *,
    key: str | Sequence[str] | None = None,
    checkpoint: str,
    model: str = DEFAULT,
    engine: str | EngineOptions = "auto",
    fallback: str | None = None,
    fallback_below: float | None = None,
    fallback_engine: str | EngineOptions | None = None,
    trigger: str | None = None,
    sweep_every: int = 20,
    where: str | None = None,
    column: str | None = None,
    adopt_examples: bool = False,
    into: str | None = None,
    min_confidence: float = 0.0,
    max_error_ratio: float = DEFAULT_ERROR_RATIO,
    max_new_corrections: int | None = 1000,
    staging: str | None = None,
    cache: bool | str = True,
    allow_unsafe_store: bool = False,
    **options: Unpack[EngineArguments],
) -> StreamingQuery:
    """Labels the rows of a Delta table as they are appended, in place or `into` a table of labels.

    Human answers are kept, and a batch that is delivered twice is answered once. The arguments that are not listed are
    those of `label_table`.

    Args:
        fallback_below: A number: a stream reads no answers of people to find one.
        checkpoint: The folder in which the stream keeps its position. The first time, all rows are new.
        trigger: None to answer what has arrived since the last time and end (call `.awaitTermination()`, for example
            every night); or an interval such as "1 minute" to keep running.
        sweep_every: After so many batches, a pass over the whole table answers rows that were updated or upserted: a
            stream delivers appended rows only. 1 does so after every batch.
        max_error_ratio: End the query if the engine failed on a larger share of a batch's inputs, from 0 to 1.

    Returns:
        The running query.

    Raises:
        TableError, ColumnError, KeyColumnError, TaskError, ModelError or SetupError: Before anything is loaded or
            written. Later errors are the query's.
    """
    check_arguments("label_stream", _ARGUMENTS, options)
    engine_spec(engine, options)
    if type(sweep_every) is not int or sweep_every < 1:
        raise TableError(f"sweep_every={sweep_every!r} is not a whole number above 0.")
    if is_connect(spark):
        raise TableError(
            "label_stream needs a classic Spark session.", hint="Call label_table on a schedule instead."
        )
    limits = PassLimits(max_error_ratio, max_new_corrections=max_new_corrections)
    storage = StorageOptions(staging, cache, allow_unsafe_store=allow_unsafe_store)
    name = f"sparklabel {task.name} {into or table}"
    _check_stream(spark, name, checkpoint, trigger)
    check_folders(spark, checkpoint=checkpoint, staging=staging, cache=cache)
    opened = open_task_table(spark, table, task, key, column, into=into, writes=True)
    check_stores(spark, allow_unsafe_store, [opened.target, staging, cache])
    if opened.source.version == UNVERSIONED:
        raise TableError(f"{table} is a view: only a Delta table can be read as a stream.")
    spec = labeler_spec(task, model, engine, dict(options), min_confidence)
    spec = with_fallback(spec, fallback, fallback_below, fallback_engine, engine, dict(options))
    check_threshold(spec)
    spec = calibrated_spec(spec, opened)
    if not all(one.manifest for one in spec.in_turn):
        check_examples(spark, task, adopt_examples)
    prepare(spec, spark, adopt_examples=adopt_examples)
    if not opened.has_separate_labels:  # a stream ends where its table's schema changes
        ensure_columns(spark, PassRequest(spec, opened, storage=storage))
    reader = spark.readStream.format("delta").option("skipChangeCommits", "true")
    rows = (
        reader.table(opened.source.sql) if folder_of(table) is None else reader.load(opened.source.location)
    )
    batches = _Batches(spec, opened, Scope(where=where), limits, storage, adopt_examples, sweep_every)
    writer = rows.writeStream.option("checkpointLocation", checkpoint).foreachBatch(batches.label)
    writer = writer.queryName(name)
    return (writer.trigger(processingTime=trigger) if trigger else writer.trigger(availableNow=True)).start()


def _check_stream(spark: SparkSession, name: str, checkpoint: str, trigger: str | None) -> None:
    """Before anything is written. Raises TableError."""
    check_session(spark)
    if not is_absolute_path(checkpoint):
        raise TableError(
            f"checkpoint={checkpoint!r} is not the absolute path of a folder.",
            hint="Name the folder in which the stream keeps its position.",
        )
    cast = f"SELECT CAST(CAST({sql_string(str(trigger or '1 day'))} AS INTERVAL) AS STRING) AS time"
    if spark.sql(cast).collect()[0]["time"] is None:
        raise TableError(
            f"trigger={trigger!r} is not an interval.",
            hint="For example '30 seconds' or '1 minute'; or leave it out.",
        )
    if any(query.name == name for query in spark.streams.active):
        raise TableError(
            f"A stream with this task is already running ({name}).",
            hint="Wait for it, or stop it: spark.streams.active lists them.",
        )


class _Batches:
    """Runs a pass for each micro-batch."""

    def __init__(
        self,
        spec: LabelerSpec,
        opened: TaskTable,
        scope: Scope,
        limits: PassLimits,
        storage: StorageOptions,
        adopt_examples: bool,
        sweep_every: int,
    ) -> None:
        self._spec, self._opened, self._scope, self._sweep_every = spec, opened, scope, sweep_every
        self._limits, self._storage, self._adopt_examples = limits, storage, adopt_examples

    def label(self, rows: DataFrame, number: int) -> None:
        sweeps = (number + 1) % self._sweep_every == 0
        for attempt in range(_WAITS):
            try:
                self._pass(rows.sparkSession, None if sweeps else rows)
            except ConflictError:
                if attempt == _WAITS - 1:
                    raise
                time.sleep(_WAIT_SECONDS)
            else:
                return

    def _pass(self, spark: SparkSession, arrived: DataFrame | None) -> None:
        """Over the rows that arrived, or all there are now."""
        now = self._opened.newest(spark, self._spec.task)
        if arrived is None and now.has_separate_labels:
            check_labels_key(spark, now.target, now.keys)
        if arrived is not None:
            now = replace(now, arrived=_one_of_each_key(arrived, now, self._spec.task))
        request = PassRequest(
            self._spec,
            now,
            self._scope,
            self._limits,
            storage=self._storage,
            adopt_examples=self._adopt_examples,
        )
        with ExitStack() as stack:
            plan = make_plan(spark, read_changed(spark, request), stack)
            if plan.pending or plan.unattributed:
                columns = now.label_columns
                if refusal := self._limits.refusal(plan.implicit_corrections, now.target.name, columns.value):
                    raise refusal
                (report,) = run_passes(spark, [plan], progress=False)
                _check_engine(report)


def _check_engine(report: PassReport) -> None:
    """Ends the query if the engine failed on too many inputs: later batches would fail as well."""
    if report.stopped == MAX_ERROR_RATIO:
        raise EngineError(
            f"The engine failed on too many inputs of {report.table}, for instance: {report.failure}",
            hint="What it answered is in the table. Fix the engine, or allow more failures with max_error_ratio=, and "
            "start the stream again.",
        )


def _one_of_each_key(arrived: DataFrame, opened: TaskTable, task: Task) -> DataFrame:
    """One row of each key. A row that was deleted and inserted again between two batches arrives twice, and which one
    is current is not known here: an answer counts only for its own text, and the next sweep answers the other."""
    inputs = [quote(c) for c in opened.input_columns(task)]
    one = F.max_by(F.struct("*"), F.expr(input_hash_sql(inputs)))  # the same one at each evaluation
    return arrived.groupBy(*map(quote, opened.keys)).agg(one.alias(_ROW)).select(f"{_ROW}.*")
