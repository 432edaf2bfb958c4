"""What a table's own history says of earlier passes, from the metadata of their commits."""

import json
from typing import Any

from pyspark.sql import SparkSession

from sparklabel.delta_table import Target


def pass_commits(spark: SparkSession, target: Target, task: str) -> list[dict[str, Any]]:
    """The metadata of the task's commits to the table, newest first."""
    rows = spark.sql(f"DESCRIBE HISTORY {target.sql}").select("userMetadata").collect()
    contents = (_sparklabel(row["userMetadata"]) for row in rows)
    return [content for content in contents if content.get("task") == task]


def last_rate(spark: SparkSession, target: Target, task: str) -> float | None:
    """Distinct inputs a second of the newest pass that computed any; None where there was none."""
    rates = (content.get("inputs_per_second") for content in pass_commits(spark, target, task))
    return next((float(rate) for rate in rates if rate), None)


def _sparklabel(metadata: str | None) -> dict[str, Any]:
    try:
        content = json.loads(metadata or "{}")
    except ValueError:  # another tool's metadata
        return {}
    found = content.get("sparklabel") if isinstance(content, dict) else None
    return found if isinstance(found, dict) else {}
