"""Undo of a pass: its rows get back the labels that they had before it.

In: a table, a pass's id. Out: how many rows; one commit, marked like a pass's. Answers that people or later passes have
given since stay.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparklabel.delta.log_stores import check_stores
from sparklabel.delta.snapshot import TableSnapshot, open_snapshot
from sparklabel.errors import TableError
from sparklabel.labels.predicates import human_sql
from sparklabel.redaction import printable_lines
from sparklabel.sql import quote, sql_string
from sparklabel.table.history import ANSWERS, RESTORED, UNDO, PassCommit, pass_commits
from sparklabel.table.merge import Change, merge_rows, source_of
from sparklabel.table.schema_evolution import cast_struct_sql
from sparklabel.table.versions import read_version, readable_version

_HINT = "VACUUM removed its files, or the log was cleaned. Correct the rows instead, or label them again."


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoReport:
    """What an undo did.

    Attributes:
        put_back: Rows that have the label of `version` again.
        human_kept: Rows of the pass that people have answered since, and that were left alone.
    """

    table: str
    pass_id: str
    version: int
    put_back: int
    human_kept: int

    def __str__(self) -> str:
        if not (self.put_back or self.human_kept):
            return printable_lines(
                f"{self.table}: no row has an answer of pass {self.pass_id} any more; nothing to undo"
            )
        kept = f"; {self.human_kept:,} that people answered since were left alone" if self.human_kept else ""
        return printable_lines(
            f"{self.table}: pass {self.pass_id} was undone: {self.put_back:,} rows have the labels of version "
            f"{self.version} again{kept}"
        )


def undo_pass(
    spark: SparkSession, table: str, pass_id: str, *, allow_unsafe_store: bool = False
) -> UndoReport:
    """Puts back the labels that a pass replaced.

    Rows that people or a later pass have answered since keep what they have. A row that had no label has none again,
    and is pending.

    Args:
        table: The table that has the labels.
        pass_id: The pass; `passes` lists them.
        allow_unsafe_store: As for `label_table`.

    Raises:
        TableError: The table's history has no such pass, or no longer has the version before it; or Delta could lose
            commits where the table is.
        ConflictError: Other writers were first every time.
    """
    target = open_snapshot(spark, table)
    check_stores(spark, allow_unsafe_store, [target.location])
    made = _first_commit(spark, target, pass_id)
    before, keys, value = made.version - 1, list(made.facts["key"]), str(made.facts["column"])
    label = f"{value}_label"
    _check_still_there(target, (*keys, value, label))
    own = f"{quote(label)}.pass_id = {sql_string(pass_id)}"
    human = human_sql(quote(value), quote(label))
    current = target.read(spark).where(own)
    human_kept = current.where(human).count()
    earlier = read_version(spark, target, before, _HINT).select(*map(quote, keys), quote(value), quote(label))
    types = {field.name: field.dataType for field in earlier.schema}
    earlier = earlier.select(
        *map(quote, keys),
        *(
            F.expr(cast_struct_sql(quote(name), types[name], target.schema[name].dataType)).alias(
                f"_before_{number}"
            )
            for number, name in enumerate((value, label))
        ),
    )
    rows = current.where(f"NOT {human}").select(*map(quote, keys)).join(earlier, keys, "left")
    facts = {
        "pass_id": uuid.uuid4().hex, "step": UNDO, "undone": pass_id, "task": made.facts["task"],
        "model": made.facts.get("model"), "version_before": target.version, "key": keys, "column": value,
    }  # fmt: skip
    with readable_version(target, before, _HINT):
        source = source_of(value)
        guard = f"t.{own} AND NOT {human_sql(f't.{quote(value)}', f't.{quote(label)}')}"
        change = Change(value, rows, guard, {value: f"{source}._before_0", label: f"{source}._before_1"})
        put_back = merge_rows(target, keys, [change], facts)
    return UndoReport(table=table, pass_id=pass_id, version=before, put_back=put_back, human_kept=human_kept)


def _first_commit(spark: SparkSession, target: TableSnapshot, pass_id: str) -> PassCommit:
    """The pass's first commit that wrote answers. Raises TableError that lists the passes there are."""
    every = pass_commits(spark, target)
    if any(commit.facts["pass_id"] == pass_id and commit.step == UNDO for commit in every):
        raise TableError(
            f"{pass_id!r} is itself an undo, and cannot be undone.",
            hint="Label again: answers that were undone may still be in the answer cache.",
        )
    if restored := next((c for c in every if (c.facts["pass_id"], c.step) == (pass_id, RESTORED)), None):
        raise TableError(
            f"{pass_id!r} is not a pass: it put back people's answers (restore_answers), which cannot be undone.",
            hint="Correct single answers by UPDATE. To go back to before it, and before everything since: "
            f"RESTORE TABLE {target.sql} TO VERSION AS OF {restored.version - 1}.",
        )
    commits = [commit for commit in every if commit.step == ANSWERS]
    own = [commit for commit in commits if commit.facts["pass_id"] == pass_id]
    if not own:
        known = dict.fromkeys(commit.facts["pass_id"] for commit in commits)
        raise TableError(
            f"The history of {target.name} has no pass {pass_id!r} that wrote answers.",
            hint=f"It has, newest first: {', '.join(list(known)[:5]) or 'none'}.",
        )
    return own[-1]


def _check_still_there(target: TableSnapshot, names: Sequence[str]) -> None:
    if gone := [name for name in names if not target.column(name)]:
        raise TableError(
            f"The pass used the column {gone[0]!r}, which {target.name} has no longer: it was renamed or dropped.",
            hint=f"Give it that name again (ALTER TABLE {target.sql} RENAME COLUMN ... TO {quote(gone[0])}), undo the "
            "pass, and rename it back.",
        )
