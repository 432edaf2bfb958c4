"""What a review left in its journal, brought into the table.

In: a journal's file, a session. Out: a `FlushReport`. It may be killed at any point, and called again: each answer is
appended once, and labels are made from the answers table alone.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol

from pyspark.sql import SparkSession

from sparklabel.progress import note
from sparklabel.redaction import printable_lines
from sparklabel.reviewing.journal import Journal
from sparklabel.reviewing.records import Event
from sparklabel.reviewing.table.changes import answered_by_others, not_written_lines
from sparklabel.reviewing.table.label_merge import Merged
from sparklabel.reviewing.table.worker import TableWorker
from sparklabel.texts import counted

_BATCH = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class FlushReport:
    """What was brought into the table.

    Attributes:
        journal: The file.
        table: The table with the labels.
        events: The journal's events that the answers table did not have.
        written: Rows that got a person's answer.
        taken_back: Rows that were given back.
        not_written: Inputs whose answer is kept in the answers table alone, by reason.
    """

    journal: str
    table: str
    events: int = 0
    written: int = 0
    taken_back: int = 0
    not_written: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [
            f"{self.table}: {counted(self.events, 'event')} of {self.journal} appended; "
            f"{counted(self.written, 'row')} answered, {self.taken_back:,} given back"
        ]
        lines += [f"  {line}" for line in not_written_lines(self.not_written)]
        return printable_lines("\n".join(lines))


def flush_journal(spark: SparkSession, file: Path, progress: bool = True) -> FlushReport:
    """Appends and merges everything that the journal has and the table has not.

    Args:
        file: The journal. No review may be running with it.
        progress: Say what is done, through `logging`.

    Raises:
        SetupError: There is no such journal, or it is in use.
        TableError, ConflictError: The table cannot be written; the journal keeps what is missing.
    """
    with Journal(file) as journal:
        about = journal.about
        worker = TableWorker(spark, about, journal.id)
        worker.check()
        totals = _Totals()
        for task in about["tasks"]:
            if progress:
                note(f"{about['table']}: bringing the answers to {task['name']} into the table")
            _flush(journal, worker, task["name"], totals)
    return FlushReport(
        journal=str(file), table=about["into"] or about["table"], events=totals.events, written=totals.written,
        taken_back=totals.taken_back, not_written=dict(totals.not_written),
    )  # fmt: skip


@dataclass(slots=True)
class _Totals:
    events: int = 0
    written: int = 0
    taken_back: int = 0
    not_written: Counter[str] = field(default_factory=Counter)

    def add(self, merged: Merged) -> None:
        self.written += merged.written
        self.taken_back += merged.taken_back
        self.not_written.update(merged.moved.values())


class _Worker(Protocol):
    def append(self, task: str, events: list[Event]) -> int: ...

    def merge(self, task: str, hashes: list[str] | None = None) -> Merged: ...


def _flush(journal: Journal, worker: _Worker, task: str, totals: _Totals) -> None:
    if next(journal.events(task=task), None) is None:
        return
    there = worker.append(task, [])
    for batch in _batches(journal.events(after=there, task=task)):
        worker.append(task, batch)
        totals.events += len(batch)
    for batch in _batches(journal.events(after=journal.merged(task), task=task)):
        merging = list(dict.fromkeys(event.input_hash for event in batch))
        merged = worker.merge(task, merging)
        totals.add(merged)
        journal.note_merged(task, batch[-1].seq, merging, answered_by_others(merged.moved))


def _batches(events: Iterator[Event]) -> Iterator[list[Event]]:
    while batch := list(islice(events, _BATCH)):
        yield batch
