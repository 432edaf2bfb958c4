"""Writes what people said into the labels: one guarded MERGE.

In: a table opened for a task, the verdict on each input. Out: how many rows were written, and which answers were not.
Each row is decided by what it holds when it is read (`label_decisions`), and is only written if it still holds that:
compare and swap. What another writer changed in between is read and decided again.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparklabel.delta.commits import commit_metadata, retry_on_conflict
from sparklabel.delta.kept_rows import keep
from sparklabel.errors import ConflictError
from sparklabel.reviewing.table.event_rows import value_json
from sparklabel.reviewing.table.iso_times import to_iso, to_micros
from sparklabel.reviewing.table.label_decisions import (
    GIVE_BACK,
    KEEP,
    TO_MODEL,
    WRITE,
    Decision,
    Held,
    Verdict,
)
from sparklabel.reviewing.table.new_labels import DECIDED, HELD, held_sql, labels_change
from sparklabel.sql import quote
from sparklabel.table.draw import hash_frame
from sparklabel.table.history import COLUMNS
from sparklabel.table.merge import merge_rows
from sparklabel.table.row_states import HASH, STATE, labeled_rows
from sparklabel.table.task_table import TaskTable
from sparklabel.tasks import Task

REVIEW = "review"
"""The step of our commits in a table's history. They have no pass_id: no pass made them, and undoing one finds none."""
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What a merge did.

    Attributes:
        written: Rows that got a person's answer.
        taken_back: Rows that were given back to the model, or to the person who had answered before.
        unchanged: Rows that had what they should, or that were left to others.
        moved: Inputs whose answer is not in the table, or not in all their rows, and why: one of
            `label_decisions.REFUSALS`.
    """

    written: int = 0
    taken_back: int = 0
    unchanged: int = 0
    moved: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows with the same input that hold the same."""

    input_hash: str
    held: str
    rows: int
    decision: Decision


def merge_labels(
    spark: SparkSession, opened: TaskTable, task: Task, verdicts: Mapping[str, Verdict], journal: str
) -> Merged:
    """Makes the labels of these inputs what the verdicts say, in all rows that have them. The same call again changes
    nothing.

    Args:
        verdicts: By input hash.
        journal: Named in the commit.

    Raises:
        ConflictError: Other writers were first every time.
        TableError, ColumnError: The table refuses the answers, or has changed.
    """
    if not verdicts:
        return Merged()
    for _ in range(_ATTEMPTS):
        newest = opened.newest(spark, task)
        if any(verdict.is_accepted for verdict in verdicts.values()):
            newest = _with_columns(spark, newest, task, journal)
        with ExitStack() as stack:
            rows = keep(_rows(spark, newest, task, list(verdicts)), stack)
            groups = _decided(rows, verdicts)
            changing = [group for group in groups if group.decision.action != KEEP]
            if not changing or _write(spark, newest, task, rows, changing, journal) == _count(changing):
                return _merged(groups, verdicts)
    raise ConflictError(
        f"Writing answers into {opened.target.name} met other writers {_ATTEMPTS} times in a row.",
        hint="No answer is lost: the next merge writes them.",
    )


def _with_columns(spark: SparkSession, opened: TaskTable, task: Task, journal: str) -> TaskTable:
    def add() -> TaskTable:
        with commit_metadata(spark, **_facts(opened, task, journal) | {"step": COLUMNS}):
            return opened.ensure_columns(spark, task)

    return retry_on_conflict(add, f"Adding columns to {opened.target.name}")


def _facts(opened: TaskTable, task: Task, journal: str) -> dict[str, Any]:
    return {
        "step": REVIEW, "task": task.name, "journal": journal, "key": list(opened.keys),
        "column": opened.label_columns.value, "version_before": opened.target.version,
    }  # fmt: skip


def _rows(spark: SparkSession, opened: TaskTable, task: Task, hashes: Sequence[str]) -> DataFrame:
    """The pinned rows that have one of the inputs: key, record, HASH, STATE and HELD."""
    held = held_sql(quote(opened.label_columns.value), quote(opened.label_columns.label))
    rows = labeled_rows(spark, opened, task).join(hash_frame(spark, hashes, HASH), HASH)
    label = quote(opened.label_columns.label)
    return rows.select(*map(quote, opened.keys), label, HASH, STATE, F.expr(held).alias(HELD))


def _decided(rows: DataFrame, verdicts: Mapping[str, Verdict]) -> list[_Group]:
    human = F.col(STATE).startswith("human").alias("human")
    grouped = rows.groupBy(HASH, HELD, human).agg(F.count("*").alias("rows")).toArrow().to_pylist()
    return [
        _Group(
            one[HASH], one[HELD], one["rows"], verdicts[one[HASH]].decide(_as_held(one[HELD], one["human"]))
        )
        for one in grouped
    ]


def _as_held(text: str, is_human: bool) -> Held:
    found = json.loads(text)
    return Held(is_human, found["value"], found["reviewer"], to_iso(found["reviewed_at"]))


def _count(groups: Sequence[_Group], *actions: str) -> int:
    """The rows of these groups; with `actions` only of those with one of them."""
    return sum(group.rows for group in groups if not actions or group.decision.action in actions)


def _write(
    spark: SparkSession,
    opened: TaskTable,
    task: Task,
    rows: DataFrame,
    groups: Sequence[_Group],
    journal: str,
) -> int:
    """How many rows still held what was read, and were written."""
    decided = rows.join(_decisions(spark, groups).hint("broadcast"), [HASH, HELD])
    change = labels_change(opened, task, decided)
    facts = _facts(opened, task, journal)
    return merge_rows(opened.target, opened.keys, [change], facts, insert=opened.has_separate_labels)


def _decisions(spark: SparkSession, groups: Sequence[_Group]) -> DataFrame:
    """HASH, HELD and the columns DECIDED."""
    import pyarrow as pa

    texts, number = pa.string(), pa.int64()
    types = dict(zip((HASH, HELD, *DECIDED), (texts, texts, texts, texts, texts, number, texts), strict=True))
    rows = [
        (
            group.input_hash, group.held, one.action, value_json(one.value), one.reviewer, to_micros(one.reviewed_at),
            one.reason,
        )
        for group in groups
        for one in [group.decision]
    ]  # fmt: skip
    columns = [
        pa.array(column, kind) for column, kind in zip(zip(*rows, strict=True), types.values(), strict=True)
    ]
    return spark.createDataFrame(pa.table(columns, names=list(types)))


def _merged(groups: Sequence[_Group], verdicts: Mapping[str, Verdict]) -> Merged:
    there = {group.input_hash for group in groups}
    gone = {
        name: one.without_rows for name, one in verdicts.items() if name not in there and one.without_rows
    }
    refused = {group.input_hash: group.decision.refused for group in groups if group.decision.refused}
    return Merged(
        written=_count(groups, WRITE),
        taken_back=_count(groups, GIVE_BACK, TO_MODEL),
        unchanged=_count(groups, KEEP),
        moved=gone | refused,
    )
