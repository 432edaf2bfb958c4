"""The one way to open a table for a task: where its rows are, and where its labels are.

In: a table, a task, a key; possibly the name of a table for the labels alone. Out: a `TaskTable`. Everything wrong with
them is raised here, before a model is loaded or anything is written. Only `ensure_columns` writes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pyspark.sql import DataFrame, SparkSession

from sparklabel.confidence.calibrators import FittedCalibrator
from sparklabel.delta.changed_files import ChangedFiles
from sparklabel.delta.snapshot import (
    UNVERSIONED,
    TableSnapshot,
    is_delta,
    open_readable,
    open_snapshot,
)
from sparklabel.errors import ColumnError, KeyColumnError
from sparklabel.sql import quote
from sparklabel.table.key import check_unique, key_columns
from sparklabel.table.label_columns import (
    LabelColumns,
    add_columns,
    check_inputs,
    find_label_columns,
    input_columns,
    remembered,
)
from sparklabel.table.labels_table import check_labels_key, labels_table, make_labels_table, remembered_key
from sparklabel.table.recorded_tasks import Calibration, recorded_task
from sparklabel.table.table_rules import check_changeable, check_comparable, check_values_fit
from sparklabel.tasks import Task, check_task

_OF_A_VIEW = "A view can be labeled too: keep its labels in a table of their own, into='...'."


@dataclass(frozen=True, slots=True)
class TaskTable:
    """A table opened for a task, pinned.

    Attributes:
        source: The table or view with the inputs.
        target: The table with the task's columns, or the one that will have them: `source`, or a table for the labels
            alone, which has the key and no inputs.
        keys: The key's columns as both spell them.
        arrived: Rows that a stream brought, one per key, in place of all rows of `source`.
        changed: The rows that may have changed since a pass left nothing to do, in place of all rows.
    """

    source: TableSnapshot
    target: TableSnapshot
    keys: tuple[str, ...]
    label_columns: LabelColumns
    arrived: DataFrame | None = field(default=None, compare=False, repr=False)
    changed: ChangedFiles | None = None

    @property
    def has_separate_labels(self) -> bool:
        """Whether labels have a table of their own."""
        return self.source is not self.target

    def rows(self, spark: SparkSession) -> DataFrame:
        """The pinned rows, with the task's columns if the table has them yet."""
        if self.changed is not None:
            return self.changed.rows
        rows = self.source.read(spark) if self.arrived is None else self.arrived
        if not self.has_separate_labels and self.arrived is None:
            return rows
        own = (self.label_columns.value, self.label_columns.label)
        rows = rows.drop(*(c for c in rows.columns if c.lower() in {name.lower() for name in own}))
        if self.target.version == UNVERSIONED:
            return rows
        there = [quote(name) for name in own if name in self.target.schema.fieldNames()]
        labels = self.target.read(spark).select(*map(quote, self.keys), *there)
        return rows.join(labels, list(self.keys), "left")

    def input_columns(self, task: Task) -> tuple[str, ...]:
        """The task's inputs as `source` spells them."""
        return input_columns(self.source, task)

    def key_and_inputs(self, task: Task) -> tuple[str, ...]:
        """The columns that show a row to a person: the key and the task's inputs, each once."""
        return tuple(dict.fromkeys((*self.keys, *self.input_columns(task))))

    def check_labeled(self, task: Task, hint: str) -> None:
        """Raises ColumnError if no pass has written labels of the task yet."""
        if self.label_columns.missing:
            raise ColumnError(f"{self.target.name} has no labels of the task {task.name!r}.", hint=hint)

    def check_one_label_each(self, spark: SparkSession) -> None:
        """Raises KeyColumnError if a key has several rows in the table for the labels: its answer would count twice."""
        if self.has_separate_labels and self.target.version != UNVERSIONED:
            check_labels_key(spark, self.target, self.keys)

    def newest(self, spark: SparkSession, task: Task) -> "TaskTable":
        """The same table at its newest version. The key is not checked again."""
        there = self.target.version != UNVERSIONED or is_delta(spark, self.target.sql)
        target = open_snapshot(spark, self.target.name) if there else self.target
        source = open_readable(spark, self.source.name) if self.has_separate_labels else target
        label_columns = find_label_columns(target, task, self.keys, self.label_columns.value, adopt=True)
        return replace(self, source=source, target=target, label_columns=label_columns, changed=None)

    def at(self, target: TableSnapshot) -> "TaskTable":
        """The same table with `target` in place of the one that has the labels."""
        source = self.source if self.has_separate_labels else target
        return replace(self, target=target, source=source, changed=None)

    def calibrator(self, task: Task, model: str, fingerprint: str) -> FittedCalibrator | None:
        """The calibrator that the table remembers for a model, by its identity, and the task as it is asked."""
        recorded = recorded_task(self.target, task)
        return recorded.calibrator(model, fingerprint) if recorded else None

    def ensure_columns(
        self, spark: SparkSession, task: Task, calibrations: Sequence[Calibration] = ()
    ) -> "TaskTable":
        """The same table with the task's columns, which are added if they are missing, and with its calibrations. Reads
        the table again first: another pass may have just added them."""
        wanted = remembered(self.target, task, self.label_columns.value, self.keys, calibrations)
        if recorded_task(self.target, task) == wanted and not (
            self.label_columns.missing or self.label_columns.new_fields
        ):
            return self
        if self.has_separate_labels and self.target.version == UNVERSIONED:
            make_labels_table(spark, self.target, self.source, self.keys)
        latest = open_snapshot(spark, self.target.name)
        label_columns = find_label_columns(latest, task, self.keys, self.label_columns.value, adopt=True)
        target = add_columns(spark, latest, label_columns, task, self.keys, calibrations)
        return replace(
            self.at(target), label_columns=LabelColumns(label_columns.value, label_columns.label, ())
        )


def open_task_table(
    spark: SparkSession,
    table: str,
    task: Task,
    key: str | Sequence[str] | None = None,
    column: str | None = None,
    adopt: bool = False,
    into: str | None = None,
    *,
    writes: bool = False,
) -> TaskTable:
    """`open_task_tables` for one task."""
    return open_task_tables(spark, table, [task], key, column, adopt, into, writes=writes)[0]


def open_labeled(
    spark: SparkSession,
    table: str,
    task: Task,
    key: str | Sequence[str] | None,
    column: str | None,
    into: str | None,
) -> TaskTable:
    """`open_task_table` for a table that has labels of the task. Raises ColumnError for one that has none."""
    opened = open_task_table(spark, table, task, key, column, into=into)
    opened.check_labeled(task, "Label it first; or name the table that has the labels: into='...'.")
    return opened


def open_task_tables(
    spark: SparkSession,
    table: str,
    tasks: Sequence[Task],
    key: str | Sequence[str] | None = None,
    column: str | None = None,
    adopt: bool = False,
    into: str | None = None,
    check_rows: bool = True,
    *,
    writes: bool = False,
) -> list[TaskTable]:
    """Finds the table, and checks everything that the tasks need of it.

    Args:
        key: The columns that identify each row. None: those that the table remembers from the first pass.
        into: The table that has, or will have, the labels alone.
        check_rows: Check that the key is unique if no pass has. A pass checks the rows that it answers.
        writes: Check also that the table's own rules allow what is written, and that no key has several rows of labels.

    Raises:
        TaskError, TableError, ColumnError or KeyColumnError.
    """
    for task in tasks:
        check_task(task)
    source = open_snapshot(spark, table, _OF_A_VIEW) if into is None else open_readable(spark, table)
    known = _remembered_key(spark, source, tasks, into)
    keys = key_columns(source, _checked_key(source, tasks[0], key, known))
    if check_rows and not _same_names(keys, known):
        check_unique(source.read(spark), source.name, keys)
    for task in tasks:
        check_inputs(source, task)
    target = source if into is None else labels_table(spark, into, source, keys)
    opened = [
        TaskTable(source, target, keys, find_label_columns(target, task, keys, column, adopt))
        for task in tasks
    ]
    if writes:
        opened[0].check_one_label_each(spark)
        _check_rules(spark, opened, tasks)
    return opened


def _check_rules(spark: SparkSession, opened: Sequence[TaskTable], tasks: Sequence[Task]) -> None:
    """Raises TableError or ColumnError if the table would refuse the tasks' answers."""
    table = opened[0]
    check_changeable(table.target)
    if not table.has_separate_labels:
        check_comparable(table.source, (*table.keys, *(name for task in tasks for name in task.inputs)))
    for one, task in zip(opened, tasks, strict=True):
        check_values_fit(spark, one.target, task, one.label_columns.value)


def check_table(
    spark: SparkSession, table: str, task: Task, key: str | Sequence[str] | None, into: str | None
) -> None:
    """Raises TableError if the table cannot be read, or KeyColumnError if the key cannot be the table's. Reads no
    rows."""
    source = open_snapshot(spark, table, _OF_A_VIEW) if into is None else open_readable(spark, table)
    key_columns(source, _checked_key(source, task, key, _remembered_key(spark, source, [task], into)))


def _remembered_key(
    spark: SparkSession, source: TableSnapshot, tasks: Sequence[Task], into: str | None
) -> tuple[str, ...]:
    """The key of the tasks' first pass; empty unless all of them had one."""
    if into is not None:
        return remembered_key(spark, into)
    found = [recorded_task(source, task) for task in tasks]
    keys = {one.key if one else () for one in found}
    return keys.pop() if len(keys) == 1 else ()


def _checked_key(
    source: TableSnapshot, task: Task, key: str | Sequence[str] | None, remembered: tuple[str, ...]
) -> str | Sequence[str]:
    """The key to use. Raises KeyColumnError if there is none, or if the table remembers another one. A key of which a
    column is gone, as after a RENAME, may be replaced."""
    lost = [name for name in remembered if source.column(name) is None]
    if key is None:
        if lost:
            raise KeyColumnError(
                f"{source.name} was labeled by the key {', '.join(remembered)}, and has no column {lost[0]!r} now.",
                hint="Name the key as it is called now, key='...'; with into= label a view that calls it as before.",
            )
        if not remembered:
            raise KeyColumnError(
                f"The first pass of the task {task.name!r} over {source.name} needs a key.",
                hint="Name the columns that identify each row: key='id', or key=['a', 'b']. Later calls remember it.",
            )
        return remembered
    given = key_columns(source, key)
    if remembered and not lost and not _same_names(given, remembered):
        raise KeyColumnError(
            f"{source.name} was labeled by the key {', '.join(remembered)}, not by {', '.join(given)}.",
            hint="Leave key= out: the table remembers it.",
        )
    return key


def _same_names(one: Sequence[str], other: Sequence[str]) -> bool:
    return [name.lower() for name in one] == [name.lower() for name in other]
