"""A table for labels alone: the key of the labelled one, and its tasks' columns.

In: a name, the table or view that is labelled, its key. Out: the table, which nobody takes for another. A property says
what it is for: rows are inserted into it, which no other table must suffer.
"""

import json
import re
from collections.abc import Sequence

from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

from sparklabel.delta.errors import error_message, spark_errors
from sparklabel.delta.snapshot import (
    UNVERSIONED,
    TableSnapshot,
    check_folders,
    folder_of,
    is_delta,
    open_snapshot,
    table_sql,
)
from sparklabel.errors import ColumnError, TableError
from sparklabel.sql import quote, sql_string

_PROPERTY = "sparklabel.labels"
_NAME = re.compile(r"[^ ,;{}()\n\t=.`]{1,200}")
"""What Delta takes without column mapping."""


def labels_table(spark: SparkSession, into: str, source: TableSnapshot, keys: Sequence[str]) -> TableSnapshot:
    """The table as it is, or as it will be made. Raises TableError or ColumnError where it cannot have the labels."""
    sql = table_sql(into)
    if not is_delta(spark, sql):
        _check_can_be_made(spark, into, source, keys)
        return TableSnapshot(into, sql, "", UNVERSIONED, StructType([source.schema[k] for k in keys]), {})
    target = open_snapshot(spark, into)
    if target.location == source.location:
        raise TableError(f"into={into!r} is the table itself.", hint="Leave into= out to label it in place.")
    recorded = target.properties.get(_PROPERTY)
    if recorded is None:
        raise TableError(
            f"into={into!r} is a table that was not made for labels.",
            hint="Name one that is not there yet: rows are inserted into it. Or are table and into= swapped?",
        )
    if (made := json.loads(recorded).get("key")) != list(keys):
        raise TableError(
            f"{into} has labels by the key {made}, not {list(keys)}.",
            hint=f"Say key={made}, or another into=.",
        )
    return target


def remembered_key(spark: SparkSession, into: str) -> tuple[str, ...]:
    """The key that the table was made with; empty if it is not there yet."""
    sql = table_sql(into)
    recorded = open_snapshot(spark, into).properties.get(_PROPERTY) if is_delta(spark, sql) else None
    return tuple(json.loads(recorded).get("key", ())) if recorded else ()


def make_labels_table(
    spark: SparkSession, target: TableSnapshot, source: TableSnapshot, keys: Sequence[str]
) -> None:
    """Raises TableError."""
    columns = ", ".join(f"{quote(k)} {source.schema[k].dataType.simpleString()}" for k in keys)
    content = sql_string(json.dumps({"of": source.name, "key": list(keys)}))
    try:
        spark.sql(
            f"CREATE TABLE IF NOT EXISTS {target.sql} ({columns}) USING DELTA "
            f"TBLPROPERTIES ({sql_string(_PROPERTY)} = {content})"
        )
    except spark_errors() as error:
        raise TableError(
            f"The table {target.name} for the labels cannot be made: {error_message(error)}"
        ) from None


def _check_can_be_made(spark: SparkSession, into: str, source: TableSnapshot, keys: Sequence[str]) -> None:
    is_name = "/" not in into and "`" not in into
    if is_name and spark.catalog.tableExists(into):
        raise TableError(f"{into} is there, and is no Delta table.", hint="Name another one with into=.")
    check_folders(spark, into=folder_of(into))
    if wrong := [key for key in keys if not _NAME.fullmatch(key)]:
        raise ColumnError(
            f"The key {wrong[0]!r} cannot be the name of a column in a new Delta table.",
            hint="Label a view that names it otherwise: SELECT ... AS id.",
        )
