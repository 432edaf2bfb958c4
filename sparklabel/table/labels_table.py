"""A table for the labels alone: the key of the labeled table, and the columns of its tasks.

In: a name, the table or view that is labeled, its key. Out: the table. A property marks it as made for labels: passes
insert rows into it, and must not insert them into any other table.
"""

import json
import re
from collections.abc import Sequence

from pyspark.sql import SparkSession
from pyspark.sql.types import ByteType, DataType, IntegerType, LongType, ShortType, StructType

from sparklabel.delta.commits import create_table
from sparklabel.delta.data_types import ddl, same_type
from sparklabel.delta.errors import error_message, spark_errors, storage_refusal
from sparklabel.delta.snapshot import (
    UNVERSIONED,
    TableSnapshot,
    check_folders,
    folder_of,
    is_delta,
    open_snapshot,
    table_sql,
)
from sparklabel.errors import ColumnError, KeyColumnError, TableError
from sparklabel.labels.predicates import human_sql
from sparklabel.redaction import printable
from sparklabel.sql import quote, sql_string
from sparklabel.table.key import shown_sql
from sparklabel.table.recorded_tasks import recorded_tasks

_PROPERTY = "sparklabel.labels"
_NAME = re.compile(r"[^ ,;{}()\n\t=.`]{1,200}")
"""Names that Delta accepts without column mapping."""
_SCHEMA = re.compile(r"((?:\w+\.){0,1}\w+)\.\w+$")
"""The schema of a name that needs no quotes."""
_MAX_KEYS = 20
"""So many keys with several rows are named in the statement that deletes them."""
_WHOLE = (ByteType(), ShortType(), IntegerType(), LongType())


def labels_table(spark: SparkSession, into: str, source: TableSnapshot, keys: Sequence[str]) -> TableSnapshot:
    """The table as it is, or as it will be made. Raises TableError or ColumnError if it cannot hold the labels."""
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
            hint="Name one that does not exist yet: rows are inserted into it. Or are table and into= swapped?",
        )
    made = json.loads(recorded).get("key") or []
    if [key.lower() for key in made] != [key.lower() for key in keys]:
        raise TableError(
            f"{into} has labels by the key {made}, not {list(keys)}.",
            hint=f"Pass key={made}, or another into=.",
        )
    _check_key_fits(target, source, keys)
    return target


def _check_key_fits(target: TableSnapshot, source: TableSnapshot, keys: Sequence[str]) -> None:
    """Raises KeyColumnError if the source's key is of a type that the labels' key does not take."""
    for key in keys:
        found, kept = source.schema[key].dataType, target.schema[target.column(key) or key].dataType
        if not (same_type(found, kept) or _is_wider(kept, found)):
            raise KeyColumnError(
                f"The key {key!r} of {source.name} is {found.simpleString()}, and {target.name} has labels by a key of "
                f"{kept.simpleString()}.",
                hint=f"Label a view with CAST({key} AS {ddl(kept)}) if all keys fit, or name another into=.",
            )


def check_labels_key(spark: SparkSession, target: TableSnapshot, keys: Sequence[str]) -> None:
    """Raises KeyColumnError if a key has several rows of labels: Delta lets an INSERT through beside a pass's MERGE,
    and no MERGE could tell later which of the rows a label is for."""
    texts = [shown_sql(key) for key in keys]
    groups = target.read(spark).dropna(subset=list(keys)).groupBy(*map(quote, keys)).count()
    twice = groups.where("count > 1").limit(_MAX_KEYS).selectExpr(*texts).collect()
    if not twice:
        return
    examples = ", ".join(printable(tuple(row) if len(keys) > 1 else row[0]) for row in twice[:3])
    named = " OR ".join(
        f"({' AND '.join(f'{c} = {sql_string(v)}' for c, v in zip(texts, row, strict=True))})"
        for row in twice
    )
    columns = [(quote(one.column), quote(f"{one.column}_label")) for one in recorded_tasks(target).values()]
    models = "".join(f" AND NOT {human_sql(value, label)}" for value, label in columns)
    raise KeyColumnError(
        f"{target.name} has several rows of labels for the same {', '.join(keys)}: {examples}.",
        hint="Keep the row with a person's answer and delete the other: "
        f"DELETE FROM {target.sql} WHERE ({named}){models}; if people answered in both, delete one by hand. An INSERT "
        "makes such rows: people answer by UPDATE, or by MERGE.",
    )


def _is_wider(one: DataType, other: DataType) -> bool:
    """Whether each whole number of the type `other` fits into `one`."""
    return one in _WHOLE and other in _WHOLE and _WHOLE.index(one) >= _WHOLE.index(other)


def remembered_key(spark: SparkSession, into: str) -> tuple[str, ...]:
    """The key that the table was made with; empty if it does not exist yet."""
    sql = table_sql(into)
    recorded = open_snapshot(spark, into).properties.get(_PROPERTY) if is_delta(spark, sql) else None
    return tuple(json.loads(recorded).get("key", ())) if recorded else ()


def make_labels_table(
    spark: SparkSession, target: TableSnapshot, source: TableSnapshot, keys: Sequence[str]
) -> None:
    """Makes the table. Raises TableError."""
    columns = ", ".join(f"{quote(k)} {ddl(source.schema[k].dataType)}" for k in keys)
    content = sql_string(json.dumps({"of": source.name, "key": list(keys)}))
    # A session's default for new tables may be append-only, and each pass but the first changes rows.
    properties = f"TBLPROPERTIES ({sql_string(_PROPERTY)} = {content}, 'delta.appendOnly' = 'false')"
    try:
        create_table(spark, target.sql, columns, properties, f"Creating {target.name}")
    except spark_errors() as error:
        refusal = storage_refusal(error)
        raise TableError(
            f"The table {target.name} for the labels cannot be created: {refusal or error_message(error)}",
            hint="Make room, or get permission to write, and call again." if refusal else "",
        ) from None


def _check_can_be_made(spark: SparkSession, into: str, source: TableSnapshot, keys: Sequence[str]) -> None:
    if folder_of(into) is None and spark.catalog.tableExists(table_sql(into)):
        raise TableError(f"{into} exists, and is not a Delta table.", hint="Name another one with into=.")
    if (schema := _SCHEMA.match(into)) and not spark.catalog.databaseExists(schema.group(1)):
        raise TableError(
            f"into={into!r}: there is no schema {schema.group(1)}.",
            hint=f"Make it first: CREATE SCHEMA {schema.group(1)}.",
        )
    check_folders(spark, into=folder_of(into))
    if wrong := [key for key in keys if not _NAME.fullmatch(key)]:
        raise ColumnError(
            f"The key {wrong[0]!r} cannot be the name of a column in a new Delta table.",
            hint="Label a view that names it otherwise: SELECT ... AS id.",
        )
