"""Earlier passes over a table, read from the metadata of their commits in the table's history.

In: a table. Out: records, newest first. There is no other list of passes: Delta's retention of the history limits it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, ClassVar

from pyspark.sql import DataFrame, Row, SparkSession

from sparklabel.delta.snapshot import TableSnapshot, open_snapshot

COLUMNS, CORRECTIONS, ANSWERS, UNDO, RESTORED = "columns", "corrections", "answers", "undo", "restored"
"""The steps of a pass that commit, the undo of a pass, and the restoring of people's answers."""

DONE = "pending_answered"
"""The fact of a pass that it answered every pending row of the version that it pinned: how many there were."""
_RATES = 5
NEWEST_COMMITS = 100
"""How many commits a pass searches for its own and those of earlier passes."""
_ALL_ROWS = (None, "", "[]", '["true"]')
"""The predicate of a DELETE without a condition."""
_DDL = (
    "pass_id STRING, task STRING, model STRING, began TIMESTAMP_LTZ, ended TIMESTAMP_LTZ, rows BIGINT, "
    "version_before BIGINT, version_after BIGINT, task_fingerprint STRING, condition STRING, undone STRING, "
    "shard STRING"
)


@dataclass(frozen=True, slots=True)
class PassCommit:
    """A commit of a pass. Passes that share a commit have one of these each.

    Attributes:
        rows: The rows that it wrote. None for a shared commit, which does not tell whose they are.
        metrics: Delta's metrics of the operation.
        facts: The metadata that the pass wrote with it.
    """

    version: int
    at: datetime
    rows: int | None
    metrics: Mapping[str, str]
    facts: Mapping[str, Any]

    @property
    def step(self) -> str:
        return str(self.facts.get("step", ""))


@dataclass(frozen=True, slots=True)
class TableHistory:
    """What the commits of a table say.

    Attributes:
        passes: The commits of passes, of all tasks, newest first.
        replaced: The versions whose commits replaced or deleted all rows, dropped columns, or are a RESTORE, newest
            first.
        restored: The versions that RESTORE made, newest first.
    """

    passes: Sequence[PassCommit] = ()
    replaced: Sequence[int] = ()
    restored: Sequence[int] = ()

    def last_done(self, wanted: Mapping[str, Any]) -> int | None:
        """The newest version of which a pass whose facts are as `wanted` left no row pending: the one that it pinned.
        None if there is none.

        That it wrote as many rows as it found pending is read from Delta's own figures: an answer that was not written,
        whatever the reason, counts.
        """
        for commit in self.passes:
            facts = commit.facts
            if facts.get(DONE) is None or any(facts.get(name) != value for name, value in wanted.items()):
                continue
            own = [one for one in self.passes if one.facts["pass_id"] == facts["pass_id"]]
            if _sum([one.rows for one in own if one.step == ANSWERS]) == facts[DONE]:
                return int(facts["version_before"])
        return None

    def lost_versions(self, task: str) -> list[tuple[int, PassCommit]]:
        """The last versions before the table was replaced or restored that may have answers to the task, newest first,
        each with the newest of the task's commits until then. Where that was more than once with neither a pass nor a
        RESTORE in between, only the first time had labels to lose."""
        own = [commit for commit in self.passes if commit.facts.get("task") == task]
        found: dict[int, tuple[int, PassCommit]] = {}
        for version in self.replaced:
            if made := next((commit for commit in own if commit.version < version), None):
                since = max(made.version, next((back for back in self.restored if back < version), 0))
                found[since] = version - 1, made
        return list(found.values())


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What commits wrote: bytes of files, changed rows, and unchanged rows that were copied along with them."""

    WORTH_TELLING: ClassVar[int] = 10 * 2**20

    bytes: int = 0
    changed: int = 0
    copied: int = 0

    @classmethod
    def by(cls, commits: Iterable[Mapping[str, Any]]) -> "Rewritten":
        """Sums over the metrics of commits."""
        metrics = [{name: int(value) for name, value in commit.items()} for commit in commits]
        return cls(
            sum(m.get("numTargetBytesAdded", 0) for m in metrics),
            sum(m.get("numTargetRowsUpdated", 0) + m.get("numTargetRowsInserted", 0) for m in metrics),
            sum(m.get("numTargetRowsCopied", 0) for m in metrics),
        )

    @property
    def saved(self) -> int:
        """About how many bytes deletion vectors would have saved: the bytes of the copied rows."""
        return self.bytes * self.copied // max(1, self.changed + self.copied)

    def __str__(self) -> str:
        """A sentence that recommends deletion vectors; empty if they would have saved little."""
        if self.saved < self.WORTH_TELLING:
            return ""
        return (
            f"{self.bytes / 2**20:,.0f} MiB were written, {self.saved / 2**20:,.0f} of them for {self.copied:,} rows "
            "that did not change: deletion_vectors=True would save these, and upgrades the table protocol"
        )


def read_history(spark: SparkSession, target: TableSnapshot, newest: int | None = None) -> TableHistory:
    """Reads the commits of a table; `newest` limits how many."""
    limit = "" if newest is None else f" LIMIT {newest:d}"
    rows = (
        spark.sql(f"DESCRIBE HISTORY {target.sql}{limit}")
        .select(
            "version", "timestamp", "operation", "operationParameters", "operationMetrics", "userMetadata"
        )
        .collect()
    )
    passes = [commit for row in rows for commit in _pass_commits(row)]
    replaced = [row["version"] for row in rows if _replaces(row)]
    return TableHistory(passes, replaced, [row["version"] for row in rows if row["operation"] == "RESTORE"])


def pass_commits(
    spark: SparkSession, target: TableSnapshot, newest: int | None = None
) -> Sequence[PassCommit]:
    """The commits of passes, of all tasks, newest first. `newest` limits how many commits of the table are read."""
    return read_history(spark, target, newest).passes


def _pass_commits(row: Row) -> Iterator[PassCommit]:
    said, metrics = _sparklabel(row["userMetadata"]), row["operationMetrics"] or {}
    written = sum(int(metrics.get(f"numTargetRows{how}", 0)) for how in ("Updated", "Inserted"))
    makers = said.get("passes", [said])
    for facts in makers:
        if "pass_id" in facts:
            rows = written if len(makers) == 1 else None
            yield PassCommit(row["version"], row["timestamp"], rows, metrics, facts)


def _replaces(row: Row) -> bool:
    """Whether the commit can have taken the labels of all rows: by CREATE OR REPLACE, an overwrite, a DELETE of all
    rows, dropping columns, or RESTORE to a version from before the first pass."""
    operation, parameters = row["operation"], row["operationParameters"] or {}
    if operation == "WRITE":
        return bool(parameters.get("mode") == "Overwrite")
    if operation == "DELETE":
        return parameters.get("predicate") in _ALL_ROWS
    return "REPLACE TABLE" in operation or operation in ("TRUNCATE", "DROP COLUMNS", "RESTORE")


def passes(spark: SparkSession, table: str) -> DataFrame:
    """The passes over a table, from its history, which Delta keeps for 30 days by default.

    Returns:
        A row per pass, newest first: `pass_id`, `task`, `model`, `began`, `ended`, `rows`, `version_before`,
        `version_after`, `task_fingerprint`, `condition` (its where=), `undone`, the pass that an undo took back, and
        `shard` ("3/8" for shard=(3, 8)). An undo and a restoring of answers have rows of their own. `rows` is NULL if
        passes of several tasks share a commit.

    Raises:
        TableError: The table cannot be read.
    """
    by_pass: dict[str, list[PassCommit]] = {}
    for commit in pass_commits(spark, open_snapshot(spark, table)):
        by_pass.setdefault(commit.facts["pass_id"], []).append(commit)
    return spark.createDataFrame([_row(name, commits) for name, commits in by_pass.items()], _DDL)


def _row(pass_id: str, commits: Sequence[PassCommit]) -> tuple[Any, ...]:
    last, first = commits[0], commits[-1]
    written = [commit.rows for commit in commits if commit.step in (ANSWERS, UNDO, RESTORED)]
    facts = last.facts
    return (
        pass_id, facts.get("task"), facts.get("model"), _began(first), last.at, _sum(written),
        facts.get("version_before"), last.version, facts.get("task_fingerprint"), facts.get("where"),
        facts.get("undone"), "/".join(map(str, facts["shard"])) if facts.get("shard") else None,
    )  # fmt: skip


def _began(first: PassCommit) -> datetime:
    """When the pass began. Commits of earlier releases do not say; then the time of its first commit."""
    said = first.facts.get("began")
    return datetime.fromisoformat(said) if said else first.at


def _sum(rows: Sequence[int | None]) -> int | None:
    known = [number for number in rows if number is not None]
    return sum(known) if len(known) == len(rows) else None


def last_rate(history: TableHistory, task: str, model: str) -> float | None:
    """Distinct inputs per second that the task's newest passes with the model computed; None if none of them did.

    The fastest of the newest five, because what a pass needs to begin weighs on few inputs: 15 that took 30 seconds say
    nothing about 15,000."""
    own = (c.facts for c in history.passes if (c.facts.get("task"), c.facts.get("model")) == (task, model))
    rates = (float(rate) for facts in own if (rate := facts.get("inputs_per_second")))
    return max(islice(rates, _RATES), default=None)


def _sparklabel(metadata: str | None) -> dict[str, Any]:
    try:
        content = json.loads(metadata or "{}")
    except ValueError:  # another tool's metadata
        return {}
    found = content.get("sparklabel") if isinstance(content, dict) else None
    return found if isinstance(found, dict) else {}
