"""A task's two columns in a table: the value that everybody reads, and the record of how it came about.

In: a table at a pinned version, a task. Out: `LabelColumns`, checked; `add_columns` adds what is missing, and notes in
a table property which column and key the task has.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import SparkSession
from pyspark.sql.types import DataType, StructType, TimestampType

from sparklabel.delta.data_types import ddl, holds_type, same_type
from sparklabel.delta.snapshot import TableSnapshot, check_columns, open_snapshot
from sparklabel.errors import ColumnError
from sparklabel.labels.record import label_ddl
from sparklabel.sql import quote, sql_string
from sparklabel.table.recorded_tasks import (
    TASK_PROPERTY,
    Calibration,
    RecordedTask,
    recorded_column,
    recorded_task,
    recorded_tasks,
)
from sparklabel.table.schema_evolution import is_record, missing_fields, record_type
from sparklabel.tasks import Task


def input_columns(target: TableSnapshot, task: Task) -> tuple[str, ...]:
    """The table's spelling of the task's inputs. Raises ColumnError if it lacks one."""
    return check_columns(target, task.inputs, f"an input of the task {task.name!r}")


def check_inputs(target: TableSnapshot, task: Task) -> None:
    """Raises ColumnError unless the table has the task's inputs and they read the same in every session."""
    for column in input_columns(target, task):
        # As text a timestamp depends on the session's time zone: hashes would change, and with them every answer.
        if holds_type(target.schema[column].dataType, TimestampType):
            raise ColumnError(
                f"The input {column!r} is a timestamp, whose text depends on the session's time zone.",
                hint="Add a STRING or DATE column made from it, and label that.",
            )


_RENAME = "Name another column with column=."
_NAME = re.compile(r"[^ ,;{}()\n\t=.`]{1,100}")
"""Names that Delta accepts without column mapping. Answers are staged in a folder of this name, hence the length."""


@dataclass(frozen=True, slots=True)
class LabelColumns:
    """The task's columns in a table. Names, not SQL.

    Attributes:
        value: The column that everybody reads.
        label: The column with the record.
        missing: The columns to be added, with their types.
        new_fields: Fields that the table's value or record lacks because an older release, or a task with fewer fields,
            wrote it: SQL paths with their types.
    """

    value: str
    label: str
    missing: tuple[tuple[str, str], ...]
    new_fields: tuple[tuple[str, str], ...] = ()


def find_label_columns(
    target: TableSnapshot, task: Task, taken: Sequence[str], column: str | None, adopt: bool
) -> LabelColumns:
    """The two columns of the task, checked against the table.

    A record may lack fields of this release, and may have fields that this release does not know.

    Args:
        taken: The key's columns, which the task must not write.
        adopt: Accept a value column without a record, as human answers, instead of refusing it.

    Raises:
        ColumnError: The columns cannot be the task's.
    """
    if column is not None and not isinstance(column, str):
        raise ColumnError(f"column={column!r} is not a column's name.")
    recorded = recorded_column(target, task)
    if column and recorded and column.lower() != recorded.lower():
        raise ColumnError(
            f"The task {task.name!r} writes the column {recorded!r} in {target.name}, not {column!r}.",
            hint=f"Leave column= out, or pass column={recorded!r}.",
        )
    value = column if column is not None else recorded or task.name
    label = f"{value}_label"
    if not _NAME.fullmatch(value):
        raise ColumnError(
            f"{value!r} is not a column's name for labels.",
            hint="Use at most 100 characters, without blanks, commas, semicolons, brackets, =, dots or backticks.",
        )
    for name in (value, label):
        if name.lower() in {c.lower() for c in (*task.inputs, *taken)}:
            raise ColumnError(
                f"The column {name!r} is an input or the key; the task cannot write it.", hint=_RENAME
            )
    _check_not_another_tasks(target, task, value)
    has_value, has_label = target.column(value), target.column(label)
    _check_both_or_none(target, recorded, has_value, has_label, adopt)
    values = DataType.fromDDL(task.value_type)
    new_fields = _new_value_fields(target, has_value, values) if has_value else ()
    if has_value and not has_label and not adopt:
        raise ColumnError(
            f"{target.name} has a column {has_value!r} that no labeling pass wrote.",
            hint="adopt=True takes its values as people's answers; or name another column with column=.",
        )
    if has_label and not (has_value and is_record(target.schema[has_label].dataType)):
        raise ColumnError(
            f"{target.name} has a column {has_label!r} that is not a label record of {value!r}.", hint=_RENAME
        )
    absent = ((value, task.value_type, has_value), (label, label_ddl(task.value_type), has_label))
    if has_label:
        new_fields += tuple(
            missing_fields(record_type(task), target.schema[has_label].dataType, (has_label,))
        )
    return LabelColumns(
        has_value or value, has_label or label, tuple((n, ddl) for n, ddl, there in absent if not there),
        new_fields,
    )  # fmt: skip


def _new_value_fields(target: TableSnapshot, column: str, values: DataType) -> tuple[tuple[str, str], ...]:
    """Fields that the task's struct has gained since the column was made; fields that it lost stay in the table. Raises
    ColumnError for a column of another type."""
    found = target.schema[column].dataType
    if isinstance(values, StructType) and isinstance(found, StructType):
        return tuple(missing_fields(values, found, (column,)))
    if not same_type(found, values):
        raise ColumnError(
            f"{column!r} is {found.simpleString()}, and the task's values are {values.simpleString()}.",
            hint=_RENAME,
        )
    return ()


def _check_both_or_none(
    target: TableSnapshot, recorded: str | None, has_value: str | None, has_label: str | None, adopt: bool
) -> None:
    """Raises ColumnError if one of a pass's two columns was dropped: adopting the other would turn a model's answers
    into a person's."""
    record = target.schema[has_label].dataType if has_label else None
    if has_label and not has_value and isinstance(record, StructType) and is_record(record):
        value = has_label.removesuffix("_label")
        raise ColumnError(
            f"{target.name} has the records of labels in {has_label!r}, but the column {value!r} with their values is "
            "gone.",
            hint=f"Bring it back: ALTER TABLE {target.sql} ADD COLUMN {quote(value)} "
            f"{ddl(record['value'].dataType)}; "
            f"UPDATE {target.sql} SET {quote(value)} = {quote(has_label)}.value",
        )
    if recorded and has_value and not has_label and not adopt:
        raise ColumnError(
            f"{target.name} has the values of earlier passes in {has_value!r}, but the column '{has_value}_label', "
            "which says which of them people gave, is gone.",
            hint=f"Bring it back (RENAME COLUMN, or RESTORE: DESCRIBE HISTORY {target.sql}); or drop {has_value!r} to "
            "label again. adopt=True takes all its values as people's answers.",
        )


def _check_not_another_tasks(target: TableSnapshot, task: Task, value: str) -> None:
    for other, recorded in recorded_tasks(target).items():
        if other != task.name and recorded.column.lower() == value.lower():
            raise ColumnError(
                f"The column {value!r} of {target.name} belongs to the task {other!r}.", hint=_RENAME
            )


def remembered(
    target: TableSnapshot, task: Task, column: str, key: Sequence[str], calibrations: Sequence[Calibration]
) -> RecordedTask:
    """What the table should remember of the task. A model's calibration stays until it has another one."""
    known = recorded_task(target, task) or RecordedTask(column)
    return RecordedTask(column, tuple(key), known.calibrated(calibrations), tuple(task.inputs))


def add_columns(
    spark: SparkSession,
    target: TableSnapshot,
    label_columns: LabelColumns,
    task: Task,
    key: Sequence[str],
    calibrations: Sequence[Calibration] = (),
) -> TableSnapshot:
    """Adds what is missing, and records the task with its key and its calibrations in the table's properties.

    Returns:
        The table at its new version.
    """
    additions = [*((quote(name), ddl) for name, ddl in label_columns.missing), *label_columns.new_fields]
    if additions:
        added = ", ".join(f"{path} {ddl}" for path, ddl in additions)
        spark.sql(f"ALTER TABLE {target.sql} ADD COLUMNS ({added})")
    wanted = remembered(target, task, label_columns.value, key, calibrations)
    is_new = recorded_task(target, task) != wanted
    if is_new:
        name, content = sql_string(TASK_PROPERTY + task.name), sql_string(wanted.to_json())
        spark.sql(f"ALTER TABLE {target.sql} SET TBLPROPERTIES ({name} = {content})")
    return open_snapshot(spark, target.name) if additions or is_new else target
