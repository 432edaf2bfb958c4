"""The rows in files that were added to a Delta table since an older version. The other files are not read.

In: a pinned table, a version. Out: those rows, or None where they cannot be told from the others. SQL cannot select a
version's files, so this is the one place that calls Delta's own classes in the JVM: a session over Spark Connect and a
Delta that has other classes get None, and read the whole table.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparklabel.delta.errors import error_message, session_errors
from sparklabel.delta.session import is_connect
from sparklabel.delta.snapshot import TableSnapshot
from sparklabel.progress import tell

_MAX_FILES = 10_000
"""Their entries in the log go through the driver."""
_PHYSICAL = ("delta.columnMapping.id", "delta.columnMapping.physicalName")


@dataclass(frozen=True, slots=True)
class ChangedFiles:
    """The rows in `read` of a table's `files`: those that came after the version `since`."""

    rows: DataFrame = field(compare=False, repr=False)
    read: int
    files: int
    since: int


def changed_files(
    spark: SparkSession, table: TableSnapshot, since: int, columns: Sequence[str]
) -> ChangedFiles | None:
    """The rows of the pinned version in files that the version `since` did not have. None if that cannot be told, if
    one of the `columns` was another one then, or if that is most of the table.

    A file of which rows were deleted since is not a new one: the rows that are left are the same.
    """
    if is_connect(spark):
        return None
    # A version whose log is gone, or a Delta with other classes: py4j then fails with TypeError.
    unknown: tuple[type[Exception], ...] = (*session_errors(), TypeError)
    try:
        return _changed_files(spark, table, since, columns)
    except unknown as error:
        tell(
            f"reading all of {table.name}: Delta does not say which files are newer ({error_message(error)})"
        )
        return None


def _changed_files(
    spark: SparkSession, table: TableSnapshot, since: int, columns: Sequence[str]
) -> ChangedFiles | None:
    jvm: Any = spark._jvm
    log = jvm.org.apache.spark.sql.delta.DeltaLog.forTable(spark._jsparkSession, table.location)
    none = jvm.scala.Option.empty()
    before, now = (log.getSnapshotAt(version, none, none, False) for version in (since, table.version))
    if any(_column(before, name) != _column(now, name) for name in columns):
        return None
    known = _files(spark, before).withColumnRenamed("vector", "older").withColumn("known", F.lit(True))
    new = _files(spark, now).join(known, "path", "left_outer").where(_IS_NEW)
    paths = [row["path"] for row in new.select("path").limit(_MAX_FILES + 1).collect()]
    number = int(now.numOfFiles())
    if len(paths) > min(_MAX_FILES, number // 2):
        return None
    chosen: Any = F.col("path").isin(paths)
    entries = jvm.org.apache.spark.api.python.PythonUtils.toSeq(
        now.allFiles().filter(chosen._jc).collectAsList()
    )
    rows = DataFrame(log.createDataFrame(now, entries, False, none), spark)
    return ChangedFiles(rows, len(paths), number, since)


_IS_NEW = "known IS NULL OR (older IS NOT NULL AND NOT (vector <=> older))"
"""Where a file had deleted rows already, RESTORE may have brought some of them back."""


def _files(spark: SparkSession, snapshot: Any) -> DataFrame:
    """A version's files: `path`, and `vector`, which of its rows are deleted."""
    return DataFrame(snapshot.allFiles().toDF(), spark).select(
        "path", F.to_json("deletionVector").alias("vector")
    )


def _column(snapshot: Any, name: str) -> Any:
    """What tells a column from another one of that name: its type, and what it is called in the files."""
    for one in json.loads(snapshot.metadata().schemaString())["fields"]:
        if one["name"].lower() == name.lower():
            return one["type"], [one["metadata"].get(key) for key in _PHYSICAL]
    return None
