"""Rows that are read more than once, and computed once.

In: a DataFrame. Out: the same one, on Spark's disks for as long as its reader needs it.
"""

from contextlib import ExitStack, suppress

from pyspark import StorageLevel
from pyspark.sql import DataFrame

from sparklabel.delta.commits import CLEANUP_ERRORS


def keep(rows: DataFrame, stack: ExitStack) -> DataFrame:
    """The same rows, which Spark computes once and keeps on its disks until the stack is unwound."""

    def release() -> None:
        with suppress(*CLEANUP_ERRORS):  # the session may be what died
            rows.unpersist()

    stack.callback(release)
    return rows.persist(StorageLevel.DISK_ONLY)
