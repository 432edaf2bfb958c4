"""The one way in which a pass writes rows: a MERGE by key, guarded, marked with its maker, run again on conflicts."""

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame

from sparklabel.delta_table import Target
from sparklabel.labels import quote
from sparklabel.table.commits import commit_metadata, retried


def merge_rows(
    target: Target,
    keys: Sequence[str],
    source: DataFrame,
    guard: str,
    assignments: str,
    metadata: Mapping[str, Any],
) -> int:
    """Assigns to the rows of `target` (as t) that `source` (as s) has the key of, and that still fulfil `guard`: how
    many were written. `metadata` goes with the commit; its `pass_id` names the view that the MERGE reads."""
    spark, view = source.sparkSession, f"_sparklabel_{metadata['pass_id']}"
    source.createOrReplaceTempView(view)
    on = " AND ".join(f"t.{quote(k)} = s.{quote(k)}" for k in keys)
    merge = f"MERGE INTO {target.sql} t USING {view} s ON {on} WHEN MATCHED AND {guard} THEN UPDATE SET {assignments}"

    def commit() -> int:
        with commit_metadata(spark, **metadata):
            return int(spark.sql(merge).collect()[0]["num_updated_rows"])

    try:
        return retried(commit, f"Merging into {target.name}")
    finally:
        spark.catalog.dropTempView(view)
