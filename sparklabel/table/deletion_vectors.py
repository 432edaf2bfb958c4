"""Deletion vectors: what a MERGE without them rewrites for nothing, and switching them on where that was asked for.

In: a table, the commits of a pass. Out: counts, one sentence; one ALTER TABLE. A table's protocol is its owner's:
nothing here changes it unasked.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession

from sparklabel.delta_table import DELETION_VECTORS, Target, open_target

_WORTH_TELLING = 10 * 2**20


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What commits wrote: bytes of files, rows that changed, and rows that were copied beside them as they were."""

    bytes: int = 0
    changed: int = 0
    copied: int = 0

    @classmethod
    def by(cls, commits: Iterable[Mapping[str, Any]]) -> "Rewritten":
        """Of commits, given by the metrics that Delta keeps of each."""
        metrics = [{name: int(value) for name, value in commit.items()} for commit in commits]
        return cls(
            sum(m.get("numTargetBytesAdded", 0) for m in metrics),
            sum(m.get("numTargetRowsUpdated", 0) + m.get("numTargetRowsInserted", 0) for m in metrics),
            sum(m.get("numTargetRowsCopied", 0) for m in metrics),
        )

    @property
    def spared(self) -> int:
        """About how many bytes deletion vectors would have spared: those of the copied rows."""
        return self.bytes * self.copied // max(1, self.changed + self.copied)

    def __str__(self) -> str:
        """What to do about it, or nothing where it is little."""
        if self.spared < _WORTH_TELLING:
            return ""
        return (
            f"{self.bytes / 2**20:,.0f} MiB were written, {self.spared / 2**20:,.0f} of them for {self.copied:,} rows "
            "that did not change: deletion_vectors=True would spare these, and lifts the table's protocol"
        )


def switch_on(spark: SparkSession, target: Target) -> Target:
    """Lifts the table's protocol: readers that do not know deletion vectors are locked out from here on."""
    spark.sql(f"ALTER TABLE {target.sql} SET TBLPROPERTIES ('{DELETION_VECTORS}' = 'true')")
    return open_target(spark, target.name)
