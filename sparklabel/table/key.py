"""The key of a labeled table: the columns that identify each row.

In: a table at a pinned version, column names. Out: the table's spelling of them. Reads only.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import MapType, NumericType, VariantType

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
    shown = [quote(c) if isinstance(rows.schema[c].dataType, NumericType) else shown_sql(c) for c in columns]
    wrong = groups.where(f"{_ROWS} > 1 OR {null}").limit(3).selectExpr(*shown).collect()
    if wrong:
        raise _not_unique([tuple(row) for row in wrong], table, columns)


def shown_sql(column: str) -> str:
    """A key's value as a text that Python can read: it has no text that is not UTF-8, and no date after 9999."""
    return f"make_valid_utf8(CAST({quote(column)} AS STRING))"


def check_unique_rows(rows: "pa.Table", table: str, columns: Sequence[str]) -> None:
    """`check_unique` for rows on the driver."""
    keys = list(zip(*(map(_hashable, _exact(rows[column])) for column in columns), strict=True))
    counts = Counter(keys)
    if wrong := [key for key in counts if counts[key] > 1 or None in key][:3]:
        examples = rows.take([keys.index(key) for key in wrong])
        raise _not_unique(
            list(zip(*(_shown(examples[column]) for column in columns), strict=True)), table, columns
        )


def key_range(rows: "pa.Table", columns: Sequence[str]) -> dict[str, tuple[str, str]]:
    """The least and the greatest value, as SQL literals of the column's type, of each key column whose type has such
    literals: files of a table whose statistics lie outside have none of the `rows`."""
    import pyarrow.compute as pc

    found = {}
    for column in columns:
        literal = _LITERALS.get(str(rows.schema.field(column).type))
        try:
            least, greatest = pc.min_max(rows[column]).as_py().values() if literal else (None, None)
        except (UnicodeDecodeError, OverflowError):  # text that is not UTF-8, a date after 9999
            continue
        if literal and least not in (None, _MIN_BIGINT):
            found[column] = (literal(least), literal(greatest))
    return found


_MIN_BIGINT = -(2**63)
"""SQL has no literal of it."""
_LITERALS: dict[str, Callable[[Any], str]] = {
    "int32": str, "int64": lambda value: f"{value}L", "string": sql_string, "date32[day]": lambda day: f"DATE'{day}'",
}  # fmt: skip


def _exact(column: "pa.ChunkedArray") -> list[Any]:
    """The values in a form that Python has for each: text need not be UTF-8, and dates go beyond 9999."""
    return column.cast(_exact_type(column.type)).to_pylist()


def _exact_type(of: "pa.DataType") -> "pa.DataType":
    import pyarrow as pa

    if pa.types.is_struct(of):
        return pa.struct([field.with_type(_exact_type(field.type)) for field in of])
    if pa.types.is_list(of):
        return pa.list_(of.value_field.with_type(_exact_type(of.value_type)))
    plain = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary(), pa.date32(): pa.int32()}
    return pa.int64() if pa.types.is_timestamp(of) else plain.get(of, of)


def _hashable(value: Any) -> Any:
    """A key's value in a hashable form: structs and arrays come as dicts and lists. NaN is equal to itself, as in
    SQL."""
    if value != value:
        return str(value)
    return value if value is None or isinstance(value, Hashable) else repr(value)


def _shown(column: "pa.ChunkedArray") -> list[Any]:
    """The values as messages show them."""
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        # The text of one with a zone would need data on zones.
        column = column.cast(pa.timestamp(column.type.unit))
    if pa.types.is_temporal(column.type):
        return column.cast(pa.string()).to_pylist()
    return [
        value.decode(errors="backslashreplace") if isinstance(value, bytes) else value
        for value in _exact(column)
    ]


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
