"""Older versions of a table, as long as Delta has them: VACUUM removes their files, and the log is cleaned.

In: an opened table, a number. Out: the rows of that version, or a TableError that says that they are gone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from pyspark.sql import DataFrame, SparkSession

from sparklabel.delta.errors import spark_errors
from sparklabel.delta.snapshot import TableSnapshot
from sparklabel.errors import TableError

_GONE = (
    "FILE_NOT_EXIST",
    "FILE_NOT_FOUND",
    "FileNotFoundException",
    "DELTA_VERSION",
    "VERSION_NOT_FOUND",
    "RECREATABLE",
    "TIME_TRAVEL_BEYOND",
)


def read_version(spark: SparkSession, target: TableSnapshot, version: int, hint: str) -> DataFrame:
    """The rows of a version. Raises TableError if the table never had it, or, with `hint`, if its log is gone."""
    if version > target.version:
        raise TableError(f"{target.name} has no version {version}: its newest is {target.version}.")
    with readable_version(target, version, hint):
        frame = replace(target, version=version).read(spark)
        _ = frame.schema
    return frame


@contextmanager
def readable_version(target: TableSnapshot, version: int, hint: str) -> Iterator[None]:
    """Raises TableError with `hint` if the version's log or files are gone. Missing files show only when they are
    read."""
    try:
        yield
    except spark_errors() as error:
        gone = missing_in(error)
        if gone is None:
            raise
        raise TableError(
            f"Version {version} of {target.name} cannot be read any more ({gone}).", hint=hint
        ) from None


def missing_in(error: Exception) -> str | None:
    """The condition by which Spark or Delta says that a version or a file is gone; None if the error is another one."""
    return next((name for name in _GONE if name in str(error)), None)
