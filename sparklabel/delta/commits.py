"""Commits to a table that others write too: retried on conflicts, and marked with what made them.

Delta refuses a commit that overlaps another writer's, and never retries by itself. The statements passed in here read
the table and guard their own writes, so running one again is safe.
"""

import json
import random
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from sparklabel.delta.errors import error_message, session_errors, spark_errors
from sparklabel.delta.snapshot import folder_of, newest_version
from sparklabel.delta.unfinished import finish, is_unfinished
from sparklabel.errors import ConflictError, SparklabelError, TableError
from sparklabel.progress import tell
from sparklabel.redaction import shortened

_METADATA = "spark.databricks.delta.commitInfo.userMetadata"
_CONFLICTS = (
    "DELTA_CONCURRENT",
    "DELTA_METADATA_CHANGED",
    "DELTA_PROTOCOL_CHANGED",
    # Another pass has added the same columns: before Spark looked, or between that and Delta's look.
    "FIELD_ALREADY_EXISTS",
    "DELTA_DUPLICATE_COLUMNS_FOUND.ADDING_COLUMNS",
)
_REFUSALS = ("DELTA_VIOLATE_CONSTRAINT", "DELTA_NOT_NULL_CONSTRAINT", "DELTA_CANNOT_MODIFY_APPEND_ONLY")
_ATTEMPTS = 8
_BEING_MADE = (
    "DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION",
    "DELTA_PATH_DOES_NOT_EXIST",
    "DELTA_TABLE_NOT_FOUND",
    "DELTA_TABLE_ONLY_OPERATION",
    "FileNotFoundException",
)
"""What is met while another driver makes the same table: its folder is there, its first commit is not yet."""
_MAKING_ATTEMPTS = 5
_TIDY_EVERY = 20
STATE_PROPERTIES = (
    "TBLPROPERTIES ('delta.deletedFileRetentionDuration' = 'interval 1 hour', 'delta.appendOnly' = 'false', "
    "'delta.enableChangeDataFeed' = 'false', 'delta.enableDeletionVectors' = 'false', "
    "'delta.dataSkippingNumIndexedCols' = '0')"
)
"""For our own tables, whose answers may quote texts: these must not outlive a row that a user deleted from the labeled
table, in no file, whatever a session's defaults for new tables are. No pass reads for longer than an hour what another
one removes; without indexed columns the log has no answers as minimum and maximum."""
_ONE_AT_A_TIME = threading.RLock()
Result = TypeVar("Result")


def retry_on_conflict(commit: Callable[[], Result], what: str) -> Result:
    """Runs `commit`, and again after a growing random pause if another writer was first.

    Raises:
        ConflictError: Other writers were first every time.
        TableError: The table refuses such a commit: a constraint, a property, a permission.
    """
    met = _MET.get()
    for attempt in range(_ATTEMPTS):
        try:
            return commit()
        except spark_errors() as error:
            condition, message = _condition(error)
            if condition.startswith(_REFUSALS):
                raise TableError(
                    f"{what} was refused: {message.removesuffix(' by row with values:').rstrip('.')}.",
                    hint="It wrote nothing. Fix the cause and call again: answers that were staged are not computed "
                    "again.",
                ) from error
            if not condition.startswith(_CONFLICTS):
                raise
            if attempt == _ATTEMPTS - 1:
                raise ConflictError(
                    f"{what} met other writers {_ATTEMPTS} times in a row.",
                    hint="Nothing that was computed is lost: call again when fewer write to the table, or keep the "
                    "labels in a table of their own: into='...'.",
                ) from error
            if met:
                met.number += 1
            _pause(attempt)
    raise AssertionError("unreachable")


def create_table(
    spark: SparkSession,
    sql: str,
    columns: str,
    properties: str,
    what: str,
    partitioned_by: Sequence[str] = (),
) -> None:
    """Makes a Delta table, named as in SQL, unless it exists. Other drivers may make it at the same moment, and an
    earlier attempt may have failed half-way. `columns` and `properties` are as in CREATE TABLE.

    Raises:
        What `retry_on_conflict` raises, and Spark's error if the folder holds something else.
    """
    parts = f" PARTITIONED BY ({', '.join(partitioned_by)})" if partitioned_by else ""
    create = f"CREATE TABLE IF NOT EXISTS {sql} ({columns}) USING DELTA{parts} {properties}"
    path = folder_of(sql)
    for attempt in range(_MAKING_ATTEMPTS):
        try:
            retry_on_conflict(lambda: spark.sql(create), what)
            # Delta takes any folder that is not empty for the table, and does nothing.
            newest_version(spark, sql)
            return
        except spark_errors() as error:
            if not any(name in str(error) for name in _BEING_MADE):
                raise
            if attempt < _MAKING_ATTEMPTS - 1:
                _pause(attempt)
            elif not path or not is_unfinished(spark, path):
                raise
    retry_on_conflict(lambda: finish(spark, str(path), columns, partitioned_by, properties), what)


def _pause(attempt: int) -> None:
    """Waits before the next attempt, longer each time; drivers that met wait for different times."""
    time.sleep(random.uniform(0.2, 1.0) * 2**attempt)


def delete_rows(spark: SparkSession, sql: str, where: str, what: str) -> None:
    """Deletes rows of a Delta table, named as in SQL. Raises what `retry_on_conflict` raises."""
    retry_on_conflict(lambda: spark.sql(f"DELETE FROM {sql} WHERE {where}").collect(), what)


def delete_matching(spark: SparkSession, sql: str, rows: DataFrame, condition: str, what: str) -> int:
    """Deletes the rows of a Delta table, `t` in the condition, that one of the `rows`, `s`, matches.

    Returns:
        How many were deleted.

    Raises:
        What `retry_on_conflict` raises.
    """
    view = f"_sparklabel_{uuid.uuid4().hex}"
    rows.createOrReplaceTempView(view)
    delete = f"MERGE INTO {sql} t USING {view} s ON {condition} WHEN MATCHED THEN DELETE"
    try:
        return int(retry_on_conflict(lambda: spark.sql(delete).collect()[0]["num_deleted_rows"], what))
    finally:
        spark.catalog.dropTempView(view)


def tidying_is_due(spark: SparkSession, sql: str, commits: int) -> bool:
    """Whether maintenance of one of our tables is due after its last `commits` commits. It runs about every 20 commits,
    as a VACUUM takes many seconds."""
    version = newest_version(spark, sql)
    return version >= _TIDY_EVERY and version % _TIDY_EVERY < commits


WRITE_ERRORS: tuple[type[Exception], ...] = (*spark_errors(), SparklabelError)
"""What Spark, Delta and we raise when a table cannot be read or written."""
CLEANUP_ERRORS: tuple[type[Exception], ...] = (*session_errors(), SparklabelError)
"""The same, and what is raised when the session has died: a clean-up must not hide the error that led to it."""


@contextmanager
def best_effort(what: str) -> Iterator[None]:
    """Reports a failure inside the block instead of raising it: no data is at stake, and the next pass tries again."""
    try:
        yield
    except WRITE_ERRORS as error:
        tell(f"{what} failed; the next pass will try again: {error_message(error)}")


@dataclass(slots=True)
class Conflicts:
    """The number of commits that another writer preempted."""

    number: int = 0


def conflicts_met() -> int:
    """The conflicts so far inside the block of `count_conflicts`; 0 outside of one."""
    met = _MET.get()
    return met.number if met else 0


_MET: ContextVar[Conflicts | None] = ContextVar("conflicts", default=None)


@contextmanager
def count_conflicts() -> Iterator[Conflicts]:
    """Counts the conflicts that are met and retried in this thread inside the block."""
    met = Conflicts()
    before = _MET.set(met)
    try:
        yield met
    finally:
        _MET.reset(before)


def _condition(error: Any) -> tuple[str, str]:
    """Delta's error condition and the first sentence of its message."""
    # A classic session gives Delta's own exceptions as the JVM does: "class: [CONDITION] text".
    text = str(error if isinstance(error, PySparkException) else error.java_exception)
    found = re.search(r"\[([A-Z_.]+)\] *([^\n]*)", text)
    condition = (error.getCondition() or "") if isinstance(error, PySparkException) else ""
    message = found[2] if found else text.partition("\n")[0]
    return condition or (found[1] if found else ""), shortened(message, 300)


@contextmanager
def commit_metadata(spark: SparkSession, **content: Any) -> Iterator[None]:
    """Commits of this session inside the block carry `content` as JSON in their userMetadata.

    The setting belongs to the whole session, so its threads wait for each other here. Spark replaces `${env:NAME}` in
    settings by what the driver's environment holds, so a brace behind a dollar is written as JSON's escape.
    """
    text = json.dumps({"sparklabel": content}).replace("${", "$\\u007b")
    with _ONE_AT_A_TIME:
        before = spark.conf.get(_METADATA, None)
        spark.conf.set(_METADATA, text)
        try:
            yield
        finally:
            if before is None:
                spark.conf.unset(_METADATA)
            else:
                spark.conf.set(_METADATA, before)
