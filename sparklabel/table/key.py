"""The key of a labeled table: the columns that identify each row.

In: a table at a pinned version, column names. Out: the table's spelling of them. Reads only.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import MapType, VariantType

from sparklabel.delta.data_types import holds_type
from sparklabel.delta.snapshot import TableSnapshot, check_columns
from sparklabel.errors import KeyColumnError
from sparklabel.redaction import printable
from sparklabel.sql import quote, sql_string

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = "_sparklabel_rows"


def key_columns(target: TableSnapshot, key: str | Sequence[str]) -> tuple[str, ...]:
    """The table's spelling of the key's columns. Raises ColumnError, or KeyColumnError if they cannot be a key."""
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
        if holds_type(target.schema[column].dataType, MapType, VariantType):
            raise KeyColumnError(
                f"The key {column!r} is of a type that cannot be compared: "
                f"{target.schema[column].dataType.simpleString()}.",
                hint="Name columns of other types.",
            )
    return columns


def check_unique(rows: DataFrame, table: str, columns: Sequence[str]) -> None:
    """Raises KeyColumnError, with examples, unless `columns` identify each of the `rows`."""
    null = " OR ".join(f"{quote(c)} IS NULL" for c in columns)
    # One scan: groups that hold more than one row, or any row without a key.
    groups = rows.groupBy(*map(quote, columns)).agg(F.count("*").alias(_ROWS))
    wrong = groups.where(f"{_ROWS} > 1 OR {null}").limit(3).collect()
    if wrong:
        raise _not_unique([tuple(row)[:-1] for row in wrong], table, columns)


def check_unique_rows(rows: Sequence[Mapping[str, Any]], table: str, columns: Sequence[str]) -> None:
    """`check_unique` for rows on the driver."""
    keys = [tuple(_comparable(row[column]) for column in columns) for row in rows]
    counts = Counter(keys)
    if wrong := [key for key in counts if counts[key] > 1 or None in key][:3]:
        raise _not_unique(wrong, table, columns)


def key_range(rows: "pa.Table", columns: Sequence[str]) -> dict[str, tuple[str, str]]:
    """The least and the greatest value, as SQL literals of the column's type, of each key column whose type has such
    literals: files of a table whose statistics lie outside have none of the `rows`."""
    import pyarrow.compute as pc

    found = {}
    for column in columns:
        literal = _LITERALS.get(str(rows.schema.field(column).type))
        least, greatest = pc.min_max(rows[column]).as_py().values() if literal else (None, None)
        if literal and least not in (None, _LEAST_BIGINT):
            found[column] = (literal(least), literal(greatest))
    return found


_LEAST_BIGINT = -(2**63)
"""SQL has no literal of it."""
_LITERALS: dict[str, Callable[[Any], str]] = {
    "int32": str, "int64": lambda value: f"{value}L", "string": sql_string, "date32[day]": lambda day: f"DATE'{day}'",
}  # fmt: skip


def _comparable(value: Any) -> Any:
    """A key's value in a hashable form: structs and arrays come as dicts and lists."""
    return value if value is None or isinstance(value, Hashable) else repr(value)


def _not_unique(keys: Sequence[tuple[Any, ...]], table: str, columns: Sequence[str]) -> KeyColumnError:
    if any(value is None for key in keys for value in key):
        return KeyColumnError(
            f"The key {', '.join(columns)} of {table} is NULL in some rows.",
            hint="Fill it in, or name a key that every row has.",
        )
    examples = ", ".join(printable(key if len(columns) > 1 else key[0]) for key in keys)
    return KeyColumnError(
        f"The key {', '.join(columns)} of {table} is not unique; found more than once: {examples}.",
        hint="Name columns that together are unique: key=['a', 'b'].",
    )
