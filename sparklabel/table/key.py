"""The key of the table that is labelled: columns that name every row once.

In: a table at a pinned version, column names. Out: the table's spelling of them. Reads only.
"""

from collections.abc import Sequence

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparklabel.delta.snapshot import TableSnapshot, check_columns
from sparklabel.errors import KeyColumnError
from sparklabel.sql import quote

_ROWS = "_sparklabel_rows"


def check_key(spark: SparkSession, target: TableSnapshot, key: str | Sequence[str]) -> tuple[str, ...]:
    """The key's columns, when they name every row once. Raises KeyColumnError with examples."""
    names = (key,) if isinstance(key, str) else tuple(key) if isinstance(key, list | tuple) else ()
    if not names or not all(isinstance(name, str) for name in names):
        raise KeyColumnError(
            f"The labels of {target.name} need a key, and key={key!r} names no columns.",
            hint="Give key='id', or several columns: key=['a', 'b'].",
        )
    columns = check_columns(target, names, "the key")
    if len(set(columns)) < len(columns):
        raise KeyColumnError(f"key={key!r} names a column twice.")
    for column in columns:
        if any(part in target.schema[column].dataType.simpleString() for part in ("map<", "variant")):
            raise KeyColumnError(
                f"The key {column!r} is of a type that cannot be compared: "
                f"{target.schema[column].dataType.simpleString()}.",
                hint="Name columns of other types.",
            )
    null = " OR ".join(f"{quote(c)} IS NULL" for c in columns)
    # One scan: groups that hold more than one row, or any row without a key.
    groups = target.read(spark).groupBy(*map(quote, columns)).agg(F.count("*").alias(_ROWS))
    wrong = groups.where(f"{_ROWS} > 1 OR {null}").limit(3).collect()
    for row in wrong:
        if any(row[c] is None for c in columns):
            raise KeyColumnError(
                f"The key {', '.join(columns)} of {target.name} is NULL in some rows.",
                hint="Fill it in, or name a key that every row has.",
            )
    if wrong:
        examples = ", ".join(str(tuple(row)[:-1] if len(columns) > 1 else row[0]) for row in wrong)
        raise KeyColumnError(
            f"The key {', '.join(columns)} of {target.name} is not unique; found more than once: {examples}.",
            hint="Name columns that together are unique: key=['a', 'b'].",
        )
    return columns
