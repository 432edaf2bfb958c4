"""Label records of older and newer releases in one table.

In: two types. Out: the fields that one lacks, and SQL that converts a record from one type to the other, field by
field, by name. A field that both have must be of the same type; nullability does not count.
"""

from collections.abc import Iterator

from pyspark.sql.types import ArrayType, DataType, StructType

from sparklabel.delta.data_types import ddl
from sparklabel.errors import ColumnError
from sparklabel.labels.record import label_ddl
from sparklabel.sql import quote, sql_string
from sparklabel.tasks import Task

_ESSENTIAL = {"value", "status", "source"}


def record_type(task: Task) -> StructType:
    """The record of the task's labels as this release writes it."""
    found = DataType.fromDDL(label_ddl(task.value_type))
    assert isinstance(found, StructType)
    return found


def is_record(found: DataType) -> bool:
    """Whether some release can have written a record of this type."""
    return isinstance(found, StructType) and {name.lower() for name in found.fieldNames()} >= _ESSENTIAL


def missing_fields(ours: DataType, theirs: DataType, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """The fields of `ours` that `theirs` lacks, as path and type for ALTER TABLE.

    Args:
        path: The record's column.

    Raises:
        ColumnError: A field is of another type in the table.
    """
    if isinstance(ours, StructType) and isinstance(theirs, StructType):
        there = {field.name.lower(): field.dataType for field in theirs}
        for field in ours:
            at = (*path, field.name)
            if found := there.get(field.name.lower()):
                yield from missing_fields(field.dataType, found, at)
            else:
                yield ".".join(map(quote, at)), ddl(field.dataType)
    elif isinstance(ours, ArrayType) and isinstance(theirs, ArrayType):
        yield from missing_fields(ours.elementType, theirs.elementType, (*path, "element"))
    elif ours != theirs:
        raise ColumnError(
            f"{'.'.join(path)!r} is {theirs.simpleString()}, and a label record has {ours.simpleString()} there.",
            hint="Name another column with column=.",
        )


def check_record_type(found: DataType, task: Task, column: str) -> None:
    """Raises ColumnError if a field of the record in `column` is of another type than this release writes."""
    for _ in missing_fields(record_type(task), found, (column,)):
        pass


def cast_struct_sql(value: str, have: DataType, want: DataType) -> str:
    """SQL that converts `value` from the type `have` to the type `want`: fields that it lacks become NULL, and fields
    that are not wanted are left out."""
    if isinstance(have, StructType) and isinstance(want, StructType) and have != want:
        there = {field.name.lower(): field for field in have}
        parts = []
        for field in want:
            found = there.get(field.name.lower())
            part = (
                cast_struct_sql(f"{value}.{quote(found.name)}", found.dataType, field.dataType)
                if found
                else f"CAST(NULL AS {ddl(field.dataType)})"
            )
            parts.append(f"{sql_string(field.name)}, {part}")
        return f"if({value} IS NULL, NULL, named_struct({', '.join(parts)}))"
    if isinstance(have, ArrayType) and isinstance(want, ArrayType) and have != want:
        item = cast_struct_sql("item", have.elementType, want.elementType)
        return f"transform({value}, item -> {item})"
    return value
