"""People's answers put back into a table that was made anew: by CREATE OR REPLACE, an overwrite, or RESTORE.

In: a table, a task. Out: how many rows; one commit, marked like a pass's. The answers come from the last version before
the table was made anew, by its key, and go only into rows that still have the text that was answered.
"""

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from sparklabel.arguments import check_flags
from sparklabel.delta.commits import commit_metadata, retry_on_conflict
from sparklabel.delta.kept_rows import keep
from sparklabel.delta.log_stores import check_stores
from sparklabel.delta.snapshot import TableSnapshot, open_snapshot
from sparklabel.errors import TableError
from sparklabel.labels.predicates import human_sql, input_hash_sql
from sparklabel.redaction import printable_lines
from sparklabel.sql import quote
from sparklabel.table.history import COLUMNS, RESTORED, PassCommit, TableHistory, read_history
from sparklabel.table.key import check_unique, key_columns
from sparklabel.table.merge import Change, merge_rows, source_of
from sparklabel.table.recorded_tasks import recorded_task
from sparklabel.table.row_states import HASH, STATE, labeled_rows
from sparklabel.table.schema_evolution import cast_struct_sql, check_record_type
from sparklabel.table.task_table import TaskTable, open_task_table
from sparklabel.table.versions import read_version, readable_version
from sparklabel.tasks import Task, check_task

_HINT = "VACUUM removed its files, or the log was cleaned: what people answered there is lost."
_VALUE, _RECORD, _NOW = "_sparklabel_value", "_sparklabel_record", "_sparklabel_hash_now"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreReport:
    """What was restored, or would be.

    Attributes:
        version: The version that has the answers; None if no version before the table was made anew has any.
        restored: Rows that have a person's answer again.
        answered_since: Rows that people have answered in the table as it is now, and that were left alone.
        input_changed: Rows that have another text now, and were left alone.
        gone: Answered rows whose key the table has no longer.
    """

    table: str
    task: str
    version: int | None
    restored: int = 0
    answered_since: int = 0
    input_changed: int = 0
    gone: int = 0
    dry_run: bool = False

    def __str__(self) -> str:
        if self.version is None:
            return printable_lines(
                f"{self.table}: no answers of people to the task {self.task} were lost; nothing to restore"
            )
        did = "would get" if self.dry_run else "got"
        left = {
            "that people have answered since": self.answered_since,
            "whose text has changed": self.input_changed,
            "that the table has no longer": self.gone,
        }
        kept = "".join(f"; not those of {number:,} rows {why}" for why, number in left.items() if number)
        return printable_lines(
            f"{self.table}: {self.restored:,} rows {did} back people's answers of version {self.version}{kept}"
        )


@dataclass(frozen=True, slots=True)
class _Answers:
    """The `rows` that people answered in an old version: all its columns. `made` is a commit of the task until then."""

    version: int
    made: PassCommit
    rows: DataFrame

    @property
    def value(self) -> str:
        return str(self.made.facts["column"])

    @property
    def label(self) -> str:
        return f"{self.value}_label"


def restore_answers(
    spark: SparkSession,
    table: str,
    task: Task,
    *,
    column: str | None = None,
    from_version: int | None = None,
    dry_run: bool = False,
    allow_unsafe_store: bool = False,
) -> RestoreReport:
    """Puts people's answers back into a table that was made anew, from its history.

    `CREATE OR REPLACE TABLE`, overwrites, and `RESTORE` to a version from before the first pass drop the labels, or
    empty them; Delta keeps the older versions until VACUUM. The answers are taken from the last version before that has
    any, and written into rows with the same key and the same text that no person has answered since. It can run before
    the next pass, or after it: then they replace the model's answers. Corrections by plain UPDATE count too.

    Args:
        table: The table that has, or had, the labels.
        column: The value column to write, if not the one that had the answers.
        from_version: The version to take answers from. By default it is found in the history.
        dry_run: Count only; write nothing.
        allow_unsafe_store: As for `label_table`.

    Raises:
        TableError: The history has no pass of the task, or the version cannot be read any more; or Delta could lose
            commits where the table is.
        ColumnError, KeyColumnError: The table cannot take the answers.
        ConflictError: Other writers were first every time.
    """
    check_task(task)
    _check_arguments(from_version, dry_run)
    target = open_snapshot(spark, table)
    check_stores(spark, allow_unsafe_store, [target.location])
    if (found := _find(spark, target, task, from_version)) is None:
        return RestoreReport(table=table, task=task.name, version=None, dry_run=dry_run)
    recorded = recorded_task(target, task)
    key = key_columns(target, list(found.made.facts["key"]))
    opened = open_task_table(
        spark,
        table,
        task,
        None if recorded and recorded.key else key,
        column or (recorded.column if recorded else found.value),
        writes=True,
    )
    check_record_type(found.rows.schema[found.label].dataType, task, found.label)
    with readable_version(target, found.version, _HINT), ExitStack() as stack:
        check_unique(found.rows, f"version {found.version} of {target.name}", key)
        joined = keep(_beside_the_rows_now(spark, found, opened, task, key), stack)
        rows = joined.where(_outcome() == "restored")
        check_unique(rows, target.name, key)
        counts = _counts(joined)
        if counts["restored"] and not dry_run:
            counts["restored"] = _write(spark, found, opened, task, key, rows)
    return RestoreReport(table=table, task=task.name, version=found.version, dry_run=dry_run, **counts)


def answers_left_behind(spark: SparkSession, target: TableSnapshot, task: Task, history: TableHistory) -> str:
    """A sentence if people answered rows in the last labeled version before the table was made anew; empty if they did
    not, or if that cannot be read any more."""
    with suppress(TableError):
        for answers in _left_behind(spark, target, task, history):
            with readable_version(target, answers.version, _HINT):
                number = answers.rows.count()
            found = f"{number:,} answers of people are in version {answers.version} of {target.name}"
            call = f"sl.restore_answers(spark, {target.name!r}, task)"
            advice = f"{call}, or `sparklabel restore`, puts them back"
            return f"{found} and not in the table as it is now: {advice}" if number else ""
    return ""


def _check_arguments(from_version: int | None, dry_run: bool) -> None:
    if from_version is not None and not (type(from_version) is int and from_version >= 0):
        raise TableError(
            f"from_version={from_version!r} is not the number of a version.",
            hint="`sl.passes` lists the versions of passes, DESCRIBE HISTORY all of them.",
        )
    check_flags(TableError, dry_run=dry_run)


def _find(
    spark: SparkSession, target: TableSnapshot, task: Task, from_version: int | None
) -> _Answers | None:
    """The answers of `from_version`; or else of the newest version before the table was made anew that has any."""
    history = read_history(spark, target)
    own = [commit for commit in history.passes if commit.facts.get("task") == task.name]
    if not own:
        raise TableError(
            f"The history of {target.name} has no pass of the task {task.name!r}.",
            hint="`sl.passes` lists the passes that it has. By default Delta keeps a table's history for 30 days.",
        )
    if from_version is not None:
        return _of_version(spark, target, from_version, own)
    for answers in _left_behind(spark, target, task, history):
        with readable_version(target, answers.version, _HINT):
            if not answers.rows.isEmpty():
                return answers
    return None


def _left_behind(
    spark: SparkSession, target: TableSnapshot, task: Task, history: TableHistory
) -> Iterator[_Answers]:
    """What people had answered whenever the table was made anew, newest first. A RESTORE to a version with the task's
    columns does not count: whoever goes back to its labels means to."""
    for version, made in history.lost_versions(task.name):
        has_labels = version + 1 in history.restored and _human_answers(spark, target, version + 1, made)
        if not has_labels and (answers := _human_answers(spark, target, version, made)):
            yield answers


def _of_version(spark: SparkSession, target: TableSnapshot, version: int, own: list[PassCommit]) -> _Answers:
    made = next((commit for commit in own if commit.version <= version), None)
    answers = _human_answers(spark, target, version, made) if made else None
    if not answers:
        raise TableError(
            f"Version {version} of {target.name} has no labels of the task.",
            hint="`sl.passes` lists the versions that passes made.",
        )
    return answers


def _human_answers(
    spark: SparkSession, target: TableSnapshot, version: int, made: PassCommit
) -> _Answers | None:
    """The rows that people answered in a version; None if it lacks the task's columns."""
    rows = read_version(spark, target, version, _HINT)
    found = _Answers(version, made, rows)
    if not {found.value, found.label} <= set(rows.columns):
        return None
    return _Answers(version, made, rows.where(human_sql(quote(found.value), quote(found.label))))


def _beside_the_rows_now(
    spark: SparkSession, found: _Answers, opened: TaskTable, task: Task, key: tuple[str, ...]
) -> DataFrame:
    """The answers by key, with the hash of the text that they are for (HASH); beside them the hash (_NOW) and the STATE
    of the row as it is now, NULL if it is gone."""
    keys = [quote(name) for name in key]
    there = {name.lower() for name in found.rows.columns}
    has_inputs = all(name.lower() in there for name in task.inputs)
    # A correction that no pass has seen yet may have no hash: it is for the text that the row had.
    own = input_hash_sql([quote(name) for name in task.inputs]) if has_inputs else "NULL"
    answers = found.rows.select(
        *keys,
        F.expr(f"coalesce({quote(found.label)}.input_hash, {own})").alias(HASH),
        F.col(quote(found.value)).alias(_VALUE),
        F.col(quote(found.label)).alias(_RECORD),
    )
    now = labeled_rows(spark, opened, task).select(*keys, F.col(HASH).alias(_NOW), STATE)
    return answers.join(now, list(key), "left")


def _outcome() -> Column:
    """What becomes of an answer: a count of the report."""
    return (
        F.when(F.col(_NOW).isNull(), "gone")
        .when(F.col(STATE).startswith("human"), "answered_since")
        .when(F.col(HASH).eqNullSafe(F.col(_NOW)), "restored")
        .otherwise("input_changed")
    )


def _counts(joined: DataFrame) -> dict[str, int]:
    names = ("restored", "answered_since", "input_changed", "gone")
    (row,) = joined.agg(*(F.count_if(_outcome() == name).alias(name) for name in names)).collect()
    return {name: int(row[name]) for name in names}


def _write(
    spark: SparkSession,
    found: _Answers,
    opened: TaskTable,
    task: Task,
    key: tuple[str, ...],
    rows: DataFrame,
) -> int:
    """One commit for the answers, after one or two for the columns if they are missing."""
    facts: dict[str, Any] = {
        "pass_id": uuid.uuid4().hex, "step": RESTORED, "restored": found.version, "task": task.name,
        "version_before": opened.target.version, "key": list(key), "column": opened.label_columns.value,
    }  # fmt: skip

    def add_columns() -> TaskTable:
        with commit_metadata(spark, **{**facts, "step": COLUMNS}):
            return opened.ensure_columns(spark, task)

    ready = retry_on_conflict(add_columns, f"Adding columns to {opened.target.name}")
    return merge_rows(ready.target, key, [_change(found, ready, task, rows)], facts)


def _change(found: _Answers, ready: TaskTable, task: Task, rows: DataFrame) -> Change:
    columns, have, want = ready.label_columns, rows.schema, ready.target.schema
    source = source_of(columns.value)
    inputs = [f"t.{quote(name)}" for name in ready.input_columns(task)]
    guard = (
        f"NOT {human_sql(f't.{quote(columns.value)}', f't.{quote(columns.label)}')} "
        f"AND {input_hash_sql(inputs)} = {source}.{HASH}"
    )
    assigned = {
        name: cast_struct_sql(f"{source}.{kept}", have[kept].dataType, want[name].dataType)
        for name, kept in ((columns.value, _VALUE), (columns.label, _RECORD))
    }
    return Change(columns.value, rows, guard, assigned)
