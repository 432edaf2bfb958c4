"""The answers table of a task: what every person said, for ever, one row an event. A Delta table beside the labels.

In: events of a journal. Out: the same events, each exactly once, in the order in which they were given. It is only
appended to: what the events come to is decided in `resolve`, and written into the labels by `label_merge`.
"""

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame, SparkSession

from sparklabel.delta.commits import create_table, retry_on_conflict
from sparklabel.delta.data_types import ddl
from sparklabel.delta.snapshot import (
    TableSnapshot,
    check_folders,
    folder_of,
    is_delta,
    open_snapshot,
    table_sql,
)
from sparklabel.errors import ColumnError, TableError
from sparklabel.reviewing.records import Event
from sparklabel.reviewing.table.event_rows import KeyColumn, columns, event_frame, event_sql, read_event
from sparklabel.sql import quote, sql_string
from sparklabel.table.schema_evolution import cast_struct_sql, missing_fields
from sparklabel.tasks import Task

_PROPERTY = "sparklabel.answers"
_NAME = re.compile(r"[^ ,;{}()\n\t=.`]{1,200}")
"""Names that Delta accepts without column mapping."""
_HASH = "input_hash"


@dataclass(frozen=True, slots=True)
class AnswersTable:
    """An answers table that may not exist yet.

    Attributes:
        snapshot: The table; None before the first answer.
        keys: The labeled table's key.
        of: The labeled table, as it was named.
    """

    name: str
    task: Task
    keys: tuple[KeyColumn, ...]
    of: str
    snapshot: TableSnapshot | None = None

    @property
    def sql(self) -> str:
        return table_sql(self.name)

    def made(self, spark: SparkSession) -> "AnswersTable":
        """The table, which is created if it is missing; it gets the fields that the task's values have gained."""
        if self.snapshot is None:
            _create(spark, self)
        found = replace(self, snapshot=_opened(spark, self.name, self.task))
        wanted = _new_fields(found)
        if wanted:
            added = ", ".join(f"{path} {kind}" for path, kind in wanted)
            alter = f"ALTER TABLE {self.sql} ADD COLUMNS ({added})"
            retry_on_conflict(lambda: spark.sql(alter), f"Adding fields to {self.name}")
            found = replace(self, snapshot=_opened(spark, self.name, self.task))
        return found

    def last_seq(self, spark: SparkSession, journal: str) -> int:
        """The number of the journal's newest event here; 0 without one."""
        newest = f"SELECT coalesce(max(seq), 0) FROM {self.sql} WHERE journal = {sql_string(journal)}"
        return int(spark.sql(newest).collect()[0][0])

    def append(self, spark: SparkSession, events: Sequence[Event], journal: str) -> None:
        """Appends those of these events that are not there. Two at a time are safe, too: Spark may still be writing
        what a dead process had sent when a new one sends it again, and of two MERGEs Delta refuses the later one."""
        assert self.snapshot, "made() first"
        rows = event_frame(spark, events, journal, self.keys, self.task.value_type)
        there = self.snapshot.schema
        # A task that has lost a field: the table keeps it.
        fits = [
            f"{cast_struct_sql(quote(c), rows.schema[c].dataType, there[c].dataType)} AS {quote(c)}"
            for c in rows.columns
        ]
        least, view = min(event.seq for event in events), f"_sparklabel_{uuid.uuid4().hex}"
        rows.selectExpr(*fits).coalesce(1).createOrReplaceTempView(view)
        merge = (
            f"MERGE INTO {self.sql} t USING {view} s ON t.journal = {sql_string(journal)} AND t.seq >= {least} "
            f"AND t.seq = s.seq WHEN NOT MATCHED THEN INSERT ({', '.join(map(quote, rows.columns))}) "
            f"VALUES ({', '.join(f's.{quote(name)}' for name in rows.columns)})"
        )
        try:
            retry_on_conflict(lambda: spark.sql(merge).collect(), f"Appending to {self.name}")
        finally:
            spark.catalog.dropTempView(view)

    def events(self, spark: SparkSession, hashes: DataFrame | None = None) -> list[Event]:
        """The events in order: those of a journal by their numbers, of several the one that began earlier first.
        `hashes` has a column `input_hash`: only events of these inputs."""
        if self.snapshot is None:
            return []
        rows = spark.sql(f"SELECT * FROM {self.sql}")
        if hashes is not None:
            rows = rows.join(hashes.hint("broadcast"), _HASH, "left_semi")
        found = rows.selectExpr(f"{event_sql(self.keys)} AS event").toArrow()["event"].to_pylist()
        read = [read_event(text, self.task.name) for text in found]
        several = len({journal for journal, _ in read}) > 1
        began = self._began(spark) if several else {}
        read.sort(key=lambda one: (began.get(one[0], 0), one[0], one[1].seq))
        return [event for _, event in read]

    def _began(self, spark: SparkSession) -> dict[str, int]:
        """When the first event of each journal was, in microseconds since 1970."""
        first = f"SELECT journal, coalesce(unix_micros(min(answered_at)), 0) FROM {self.sql} GROUP BY journal"
        return {row[0]: int(row[1]) for row in spark.sql(first).collect()}


def open_answers(spark: SparkSession, name: str, task: Task) -> AnswersTable | None:
    """The answers table, or None if there is none yet. Raises TableError for a table of another task or purpose."""
    if not is_delta(spark, table_sql(name)):
        return None
    snapshot = _opened(spark, name, task)
    made = json.loads(snapshot.properties[_PROPERTY])
    keys = tuple(
        KeyColumn(key, column, ddl(snapshot.schema[column].dataType)) for key, column in made["key"].items()
    )
    return AnswersTable(name, task, keys, made["of"], snapshot)


def new_answers(name: str, task: Task, of: TableSnapshot, keys: Sequence[str]) -> AnswersTable:
    """An answers table that is still to be made."""
    taken = {column.lower() for column in columns([], task.value_type)}
    named = [
        key if _NAME.fullmatch(key) and key.lower() not in taken else f"key_{number}"
        for number, key in enumerate(keys, 1)
    ]
    types = [ddl(of.schema[key].dataType) for key in keys]
    return AnswersTable(name, task, tuple(map(KeyColumn, keys, named, types)), of.name)


def check_can_be_made(spark: SparkSession, name: str) -> None:
    """Raises TableError if there is something else of that name, or it lies in another table's folder."""
    if folder_of(name) is None and spark.catalog.tableExists(table_sql(name)):
        raise TableError(
            f"{name} exists, and is not a Delta table.",
            hint="Name another table for the answers: answers='...'.",
        )
    check_folders(spark, answers=folder_of(name))


def _create(spark: SparkSession, table: AnswersTable) -> None:
    content = json.dumps(
        {"of": table.of, "task": table.task.name, "key": {key.name: key.column for key in table.keys}}
    )
    # Minimum and maximum only of what is searched for: answers may quote texts, and the log keeps both.
    indexed = len(table.keys) + 4
    properties = {
        _PROPERTY: content, "delta.appendOnly": "false", "delta.dataSkippingNumIndexedCols": str(indexed),
        "delta.autoOptimize.autoCompact": "true",
    }  # fmt: skip
    listed = ", ".join(f"{sql_string(name)} = {sql_string(value)}" for name, value in properties.items())
    wanted = columns(table.keys, table.task.value_type)
    create_table(
        spark,
        table.sql,
        ", ".join(f"{quote(name)} {kind}" for name, kind in wanted.items()),
        f"TBLPROPERTIES ({listed})",
        f"Creating {table.name}",
    )


def _opened(spark: SparkSession, name: str, task: Task) -> TableSnapshot:
    found = open_snapshot(spark, name)
    made: Mapping[str, str] = json.loads(found.properties.get(_PROPERTY, "{}"))
    if made.get("task") != task.name:
        what = f"of the task {made['task']!r}" if "task" in made else "that was not made for answers"
        raise TableError(
            f"{name} is a table {what}; the answers to {task.name!r} need one of their own.",
            hint="Name another table for the answers: answers='...'.",
        )
    return found


def _new_fields(table: AnswersTable) -> list[tuple[str, str]]:
    """What the table lacks of the task's values: paths and types. Raises ColumnError for values of another type."""
    from pyspark.sql.types import DataType

    assert table.snapshot
    wanted = columns(table.keys, table.task.value_type)
    try:
        return [
            field
            for name in ("value", "shown", "before")
            for field in missing_fields(
                DataType.fromDDL(wanted[name]), table.snapshot.schema[name].dataType, (name,)
            )
        ]
    except ColumnError as error:
        raise ColumnError(
            f"The answers in {table.name} are of another type than those of the task {table.task.name!r} as it is "
            f"now: {error.message}",
            hint="Name another table for the answers: answers='...'. The old one keeps what people said.",
        ) from None
