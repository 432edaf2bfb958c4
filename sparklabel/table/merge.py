"""The MERGEs of passes: by key, guarded, marked with the pass that made them, retried on conflicts.

In: an opened table, rows to write. Out: how many were written. Several tasks share one MERGE, as it may rewrite every
file of the table. In a table for labels alone, missing rows are inserted.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparklabel.delta.commits import commit_metadata, retry_on_conflict
from sparklabel.delta.snapshot import TableSnapshot
from sparklabel.labels.predicates import human_sql, input_hash_sql, keeps_older_sql, unattributed_sql
from sparklabel.sql import quote
from sparklabel.table.row_states import ANSWER, HASH, SEEN, STATE
from sparklabel.table.schema_evolution import cast_struct_sql, record_type
from sparklabel.table.task_table import TaskTable
from sparklabel.tasks import Task

_BEFORE = "_sparklabel_attempts_before"


@dataclass(frozen=True, slots=True)
class Change:
    """What is written for one task.

    Attributes:
        name: Tells it from other changes of the same MERGE.
        rows: The key columns, and what `guard` and `assigned` need.
        guard: SQL that must still hold of the table's row, `t`, for it to be written.
        assigned: SQL by column of the table.
        few: The rows are few enough to be sent to every executor, so that the table need not be shuffled.
        narrow: SQL that holds of every row of the table, `t`, that the change may write: files of the table whose
            statistics exclude it are not read.
    """

    name: str
    rows: DataFrame
    guard: str
    assigned: Mapping[str, str]
    few: bool = False
    narrow: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """The change's row in SQL."""
        return source_of(self.name)


def source_of(name: str) -> str:
    """The row, in SQL, of the change with this name."""
    return f"s.{quote(struct_name(name))}"


def struct_name(name: str) -> str:
    """The column of a MERGE's source that has a change's row: a name that no column of the target has, or with
    `schema.autoMerge` Delta would merge the types of the two."""
    return f"_sparklabel_{name}"


def answered_rows(opened: TaskTable, pending: DataFrame, answers: DataFrame, pass_id: str) -> DataFrame:
    """The `pending` rows that have one of the `answers` (HASH, ANSWER): key columns, HASH, SEEN, and ANSWER as the
    table will hold it."""
    label = quote(opened.label_columns.label)
    attempts = F.coalesce(F.when(F.col(STATE) == "retry", F.col(f"{label}.attempts")), F.lit(0))
    keys = [quote(key) for key in opened.keys]
    rows = pending.select(*keys, HASH, attempts.alias(_BEFORE), F.col(f"{label}.pass_id").alias(SEEN))
    answer = F.col(ANSWER).withField("pass_id", F.lit(pass_id))
    answer = answer.withField("attempts", (F.col(_BEFORE) + F.col(f"{ANSWER}.attempts")).cast("int"))
    return rows.join(answers, HASH).select(*keys, HASH, SEEN, answer.alias(ANSWER))


def answers_change(
    opened: TaskTable,
    task: Task,
    answers: DataFrame,
    *,
    few: bool = False,
    are_new: bool = False,
    keys: Mapping[str, tuple[str, str]] | None = None,
) -> Change:
    """The change that writes `answers` (key columns, HASH, ANSWER, SEEN). Rows whose input has changed meanwhile, or
    that a person or another pass has answered, keep what they have.

    Args:
        few: As in `Change`.
        are_new: No pass had answered one of the rows: SEEN is NULL in all.
        keys: The least and the greatest value of key columns, in SQL, as far as they are known.
    """
    target, label_columns = opened.target, opened.label_columns
    value, label = (f"t.{quote(c)}" for c in (label_columns.value, label_columns.label))
    source = source_of(label_columns.value)
    # Fields that a newer release added to the record, maybe just now, are about the old answer: they become NULL.
    table, ours = answers.sparkSession.sql(f"SELECT * FROM {target.sql}").schema, record_type(task)
    kept = cast_struct_sql(
        f"{source}.{ANSWER}.value", ours["value"].dataType, table[label_columns.value].dataType
    )
    record = cast_struct_sql(f"{source}.{ANSWER}", ours, table[label_columns.label].dataType)
    guards = [
        f"NOT {human_sql(value, label)}", f"{label}.pass_id <=> {source}.{SEEN}",
        f"NOT {keeps_older_sql(label, f'{source}.{ANSWER}', f'{source}.{HASH}')}",
    ]  # fmt: skip
    # The inputs are in this table: an answer to the row's old text is not for it.
    if not opened.has_separate_labels:
        inputs = [f"t.{quote(c)}" for c in opened.input_columns(task)]
        guards.append(f"{input_hash_sql(inputs)} = {source}.{HASH}")
    narrow = [f"t.{quote(k)} BETWEEN {least} AND {greatest}" for k, (least, greatest) in (keys or {}).items()]
    if are_new:  # what the guard asks too, in a form that Delta can compare with a file's number of NULLs
        narrow.append(f"{label}.pass_id IS NULL")
    return Change(
        label_columns.value,
        answers,
        " AND ".join(guards),
        {label_columns.value: kept, label_columns.label: record},
        few,
        tuple(narrow),
    )


def corrections_change(opened: TaskTable, corrected: DataFrame) -> Change:
    """The change that marks rows (key columns, HASH) which people changed by a plain UPDATE, so that they can always be
    told from the model's."""
    label_columns = opened.label_columns
    value, label = (f"t.{quote(c)}" for c in (label_columns.value, label_columns.label))
    stamped = {
        "source": "'human'",
        "status": f"if({label}.status = 'truncated', 'truncated', 'ok')",
        "input_hash": f"coalesce({label}.input_hash, {source_of(label_columns.value)}.{HASH})",
        "reviewed_at": f"coalesce({label}.reviewed_at, now())",
    }
    guard = f"{human_sql(value, label)} AND {unattributed_sql(label)}"
    return Change(
        label_columns.value,
        corrected,
        guard,
        {f"{label_columns.label}.{name}": sql for name, sql in stamped.items()},
    )


def merge_rows(
    target: TableSnapshot,
    keys: Sequence[str],
    changes: Sequence[Change],
    metadata: Mapping[str, Any],
    *,
    insert: bool = False,
) -> int:
    """Writes changes, each to columns of its own, in one commit.

    Args:
        metadata: What the commit carries, as JSON.
        insert: Also insert rows that the table lacks.

    Returns:
        The number of rows written.

    Raises:
        ConflictError: Other writers were first every time.
        TableError: The table refuses the commit.
    """
    spark, view = changes[0].rows.sparkSession, f"_sparklabel_{uuid.uuid4().hex}"
    source_rows(changes, keys, insert).createOrReplaceTempView(view)
    holds = {change.name: f"({change.source} IS NOT NULL AND {change.guard})" for change in changes}
    assigned = {
        column: sql if len(changes) == 1 else f"if({holds[change.name]}, {sql}, t.{_path(column)})"
        for change in changes
        for column, sql in change.assigned.items()
    }
    same = [f"t.{quote(k)} = s.{quote(k)}" for k in keys]
    if not insert and all(change.narrow for change in changes):
        same.append(" OR ".join(f"({' AND '.join(change.narrow)})" for change in changes))
    merge = (
        f"MERGE INTO {target.sql} t USING {view} s ON {' AND '.join(f'({sql})' for sql in same)} "
        f"WHEN MATCHED AND ({' OR '.join(holds.values())}) "
        f"THEN UPDATE SET {', '.join(f't.{_path(column)} = {sql}' for column, sql in assigned.items())}"
    )
    if insert:
        made = {
            column: f"if({change.source} IS NOT NULL, {sql}, NULL)"
            for change in changes
            for column, sql in change.assigned.items()
        }
        values = ", ".join((*(f"s.{quote(k)}" for k in keys), *made.values()))
        merge += f" WHEN NOT MATCHED THEN INSERT ({', '.join(map(quote, (*keys, *made)))}) VALUES ({values})"

    def commit() -> int:
        with commit_metadata(spark, **metadata):
            written = spark.sql(merge).collect()[0]
        return int(written["num_updated_rows"]) + int(written["num_inserted_rows"])

    try:
        return retry_on_conflict(commit, f"Merging into {target.name}")
    finally:
        spark.catalog.dropTempView(view)


def source_rows(changes: Sequence[Change], keys: Sequence[str], insert: bool = False) -> DataFrame:
    """What a MERGE reads: each key once, with a struct per change, which is NULL if the change does not have that row.
    Few rows are sent to every executor, except where the MERGE inserts."""
    named, own = [quote(key) for key in keys], {key.lower() for key in keys}
    frames = [
        change.rows.select(
            *named,
            F.struct(*(quote(c) for c in change.rows.columns if c.lower() not in own)).alias(
                struct_name(change.name)
            ),
        )
        for change in changes
    ]
    rows = reduce(lambda one, other: one.join(other, list(keys), "full_outer"), frames)
    # An outer join of both sides, as inserting needs, cannot be a broadcast.
    return rows.hint("broadcast") if all(change.few for change in changes) and not insert else rows


def _path(column: str) -> str:
    """A column or a field of one, quoted. None of our names has a dot."""
    return ".".join(map(quote, column.split(".")))
