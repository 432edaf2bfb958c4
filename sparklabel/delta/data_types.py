"""SQL types as trees: what is inside one, how it is written, and when two are equal.

In: types of a schema. Out: the types within, DDL, comparisons. A type is never searched as text: a field may be NAMED
`timestamp`.
"""

from collections.abc import Iterator

from pyspark.sql.types import (
    ArrayType,
    DataType,
    MapType,
    StructField,
    StructType,
    TimestampType,
)

from sparklabel.sql import quote

_DECLARED = "__CHAR_VARCHAR_TYPE_STRING"
"""Spark's metadata of a column declared CHAR or VARCHAR, whose type is STRING otherwise."""


def types_within(data_type: DataType) -> Iterator[DataType]:
    """The type itself and all that are nested in it."""
    yield data_type
    if isinstance(data_type, StructType):
        for field in data_type:
            yield from types_within(field.dataType)
    elif isinstance(data_type, ArrayType):
        yield from types_within(data_type.elementType)
    elif isinstance(data_type, MapType):
        yield from types_within(data_type.keyType)
        yield from types_within(data_type.valueType)


def holds_type(data_type: DataType, *wanted: type[DataType]) -> bool:
    """Whether the type is one of the `wanted`, or has one nested in it."""
    return any(isinstance(found, wanted) for found in types_within(data_type))


def declared_type(field: StructField) -> DataType:
    """The type that the column was declared with: schemas give CHAR and VARCHAR as STRING. Needs a session."""
    declared = field.metadata.get(_DECLARED)
    return DataType.fromDDL(declared) if declared else field.dataType


def declared_ddl(field: StructField) -> str:
    """The column's declared type in SQL."""
    return str(field.metadata.get(_DECLARED) or ddl(field.dataType)).upper()


def ddl(data_type: DataType) -> str:
    """The type in SQL, whatever characters its fields' names have and whatever TIMESTAMP means to the session."""
    if isinstance(data_type, StructType):
        return f"STRUCT<{', '.join(f'{quote(field.name)}: {ddl(field.dataType)}' for field in data_type)}>"
    if isinstance(data_type, ArrayType):
        return f"ARRAY<{ddl(data_type.elementType)}>"
    if isinstance(data_type, MapType):
        return f"MAP<{ddl(data_type.keyType)}, {ddl(data_type.valueType)}>"
    return "TIMESTAMP_LTZ" if isinstance(data_type, TimestampType) else data_type.simpleString()


def same_type(one: DataType, other: DataType) -> bool:
    """Whether two types are equal but for nullability and comments."""
    if isinstance(one, StructType) and isinstance(other, StructType):
        return len(one) == len(other) and all(
            a.name.lower() == b.name.lower() and same_type(a.dataType, b.dataType)
            for a, b in zip(one, other, strict=True)
        )
    if isinstance(one, ArrayType) and isinstance(other, ArrayType):
        return same_type(one.elementType, other.elementType)
    if isinstance(one, MapType) and isinstance(other, MapType):
        return same_type(one.keyType, other.keyType) and same_type(one.valueType, other.valueType)
    return one == other
