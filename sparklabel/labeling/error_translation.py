"""Translates what Spark raises during a pass when the cause lies outside: a table was dropped, altered, restored or
vacuumed, a disk is full, a permission is missing.

In: requests, and what Spark raised. Out: a TableError that says what happened and what to do, with Spark's own error
as its cause if that is not one that is known here. Looks at the tables again only after an error.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pyspark.errors import PythonException
from pyspark.sql import SparkSession

from sparklabel.delta.errors import error_message, is_death, session_errors, spark_errors, storage_refusal
from sparklabel.delta.session import is_gone
from sparklabel.delta.snapshot import UNVERSIONED, TableSnapshot, is_delta, open_readable, open_snapshot
from sparklabel.errors import KeyColumnError, TableError
from sparklabel.labeling.request import PassRequest
from sparklabel.labeling.state.staging import STATE_FOLDER
from sparklabel.table.labels_table import check_labels_key
from sparklabel.table.versions import missing_in

_TWICE = "DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW"


@contextmanager
def failures_diagnosed(spark: SparkSession, requests: Sequence[PassRequest]) -> Iterator[None]:
    """Translates errors raised in its block."""
    names = ", ".join(dict.fromkeys(one.table.target.name for one in requests))
    # py4j cannot even translate an error of a JVM that ends meanwhile, and raises KeyError.
    of_the_session: tuple[type[Exception], ...] = (*session_errors(), KeyError)
    try:
        yield
    except KeyColumnError:
        for one in requests:
            _check_labels(spark, one)  # the source's rows are multiplied by those of their labels
        raise
    except spark_errors() as error:
        for one in requests:
            known = _refused(one, error) or _key_twice(spark, one, error) or _vacuumed(one, error)
            if known := known or _changed(spark, one):
                raise known from None
        if isinstance(error, PythonException):  # raised by Python code in a worker
            raise
        if is_death(error):
            raise _died(names) from error
        raise TableError(
            f"Spark could not finish the pass over {names}: {error_message(error)}",
            hint="What was staged or merged so far is kept. Call again when the cause is gone.",
        ) from error
    except of_the_session as error:
        if not is_gone(spark):
            raise
        raise TableError(
            f"The Spark session ended during the pass over {names}.",
            hint="What was staged or merged so far is kept: start Python again, and call again. A signal to a whole "
            "process group, as `timeout` sends it, ends Spark's JVM before the pass can end.",
        ) from error


def _died(names: str) -> TableError:
    return TableError(
        f"A Python worker or an executor died in the pass over {names}.",
        hint="Its log says why; mostly memory ran out. Give executors more of it (spark.executor.memoryOverhead), "
        "fewer tasks at once (spark.task.cpus) or smaller batches (batch_tokens). With the model in a process of its "
        "own, the row that kills it is found: leave out shared=False. What was staged or merged is kept.",
    )


def _refused(one: PassRequest, error: Exception) -> TableError | None:
    refusal = storage_refusal(error)
    if not refusal:
        return None
    return TableError(
        f"The pass over {one.table.target.name} could not write: {refusal}",
        hint="Make room, or get permission to write, where the table, its staging (staging= names another folder) and "
        "Spark's own files (spark.local.dir) are, and where executors keep models (SPARKLABEL_CACHE, HF_HOME). Then "
        "call again: staged answers are not computed twice.",
    )


def _check_labels(spark: SparkSession, one: PassRequest) -> None:
    """Raises KeyColumnError if it is the labels' own table, as it is now, whose key is not unique."""
    if one.table.has_separate_labels and is_delta(spark, one.table.target.sql):
        check_labels_key(spark, open_snapshot(spark, one.table.target.name), one.table.keys)


def _key_twice(spark: SparkSession, one: PassRequest, error: Exception) -> TableError | None:
    if _TWICE not in str(error):
        return None
    _check_labels(spark, one)
    keys, source = ", ".join(one.table.keys), one.table.source
    return KeyColumnError(
        f"The key {keys} of {source.name} is no longer unique: rows arrived with a key that other rows have.",
        hint=f"Find them: SELECT {keys} FROM {source.sql} GROUP BY {keys} HAVING count(*) > 1. Remove one, and "
        "call again: computed answers wait in staging.",
    )


def _vacuumed(one: PassRequest, error: Exception) -> TableError | None:
    """The table's files, not those of staging in its folder. That a version's time is up, Delta says without a path."""
    source, text = one.table.source, str(error)
    is_its_file = f"{source.location}/" in text and f"/{STATE_FOLDER}/" not in text
    if source.version == UNVERSIONED or not missing_in(error) or not (is_its_file or "TIME_TRAVEL" in text):
        return None
    return TableError(
        f"Version {source.version} of {source.name}, which the pass reads, is gone: VACUUM deleted files of it, or "
        "delta.deletedFileRetentionDuration has passed since it was replaced.",
        hint="Call again: the next pass reads the newest version, and computed answers wait in staging. Keep deleted "
        f"files for longer than a pass takes: ALTER TABLE {source.sql} SET TBLPROPERTIES "
        "('delta.deletedFileRetentionDuration' = 'interval 7 days')",
    )


def _changed(spark: SparkSession, one: PassRequest) -> TableError | None:
    table, keys = one.table, one.table.keys
    written, read = (*keys, table.label_columns.value, table.label_columns.label), (*keys, *one.task.inputs)
    is_made = table.target.version != UNVERSIONED
    changed = _change(spark, table.target, written) if is_made else None
    if changed and _was_restored(spark, table.target):
        changed = None if _change(spark, table.source, read) else _restored(table.target)
    return changed or _change(spark, table.source, read)


def _was_restored(spark: SparkSession, before: TableSnapshot) -> bool:
    """Whether the table is still there, and was restored since that version."""
    try:
        since = spark.sql(f"DESCRIBE HISTORY {before.sql}").where(f"version > {before.version}")
        return bool(since.where("operation = 'RESTORE'").take(1))
    except spark_errors():
        return False


def _restored(before: TableSnapshot) -> TableError:
    return TableError(
        f"{before.name} was restored during the pass to a version from before it was labeled.",
        hint="Call again: the next pass adds the columns, and computed answers wait in staging.",
    )


def _change(spark: SparkSession, before: TableSnapshot, columns: tuple[str, ...]) -> TableError | None:
    try:
        now = open_readable(spark, before.name)
    except TableError:
        return TableError(
            f"{before.name} is gone: it was dropped or moved during the pass.",
            hint="Computed answers wait in staging, unless that was inside the table's folder.",
        )
    gone = [c for c in columns if before.column(c) and not now.column(c)]
    if not gone:
        return None
    return TableError(
        f"The column {gone[0]!r} of {before.name} is gone: it was dropped or renamed during the pass.",
        hint=f"Bring it back (RENAME COLUMN, or RESTORE: DESCRIBE HISTORY {before.sql}) and call again: computed "
        "answers wait in staging.",
    )
