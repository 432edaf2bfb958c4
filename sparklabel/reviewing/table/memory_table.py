"""A table's side without a table: rows in memory, for benchmarks, and for tests of everything above a table.

In: rows. Out: the same answers that a table's process gives, at once. What the labels become is decided as simply as
can be: a row that a person answered is only changed if its answer is one of this review's, or what the person saw.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sparklabel.reviewing.records import Event, ReviewRow, RowLabel
from sparklabel.reviewing.resolve import by_input, resolve
from sparklabel.reviewing.table.changes import before_of
from sparklabel.reviewing.table.label_decisions import ANSWERED_BY_OTHERS, TEXT_CHANGED

if TYPE_CHECKING:
    from sparklabel.reviewing.insight.quality import JudgedLabel


@dataclass(frozen=True, slots=True)
class MergedInMemory:
    """What a merge did."""

    written: int = 0
    taken_back: int = 0
    unchanged: int = 0
    moved: Mapping[str, str] = field(default_factory=dict)


class MemoryTable:
    """Rows of one or several tasks.

    Args:
        rows: By task.

    Attributes:
        rows: By task and input, as they are now. Whoever changes them is a person who writes by SQL.
        answers: The answers table of each task.
        failure: Raised by every request, if it is set: a table that is away.
    """

    def __init__(self, rows: Mapping[str, Sequence[ReviewRow]]) -> None:
        self.rows = {task: {row.input_hash: row for row in own} for task, own in rows.items()}
        self.answers: dict[str, dict[str, Event]] = {task: {} for task in rows}
        self.failure: Exception | None = None
        self._first = {task: {row.input_hash: row.label for row in own} for task, own in rows.items()}

    def check(self) -> "Future[None]":
        return self._done(None)

    def load(self, task: str, rows: int, where: str | None) -> "Future[list[ReviewRow]]":
        return self._done([row for row in self.rows[task].values() if row.label.source != "human"][:rows])

    def current(self, task: str, hashes: Sequence[str]) -> "Future[dict[str, ReviewRow]]":
        return self._done({name: self.rows[task][name] for name in hashes if name in self.rows[task]})

    def hidden_states_model(self, task: str) -> "Future[str]":
        return self._done("")

    def hidden_states(self, task: str, model: str, hashes: Sequence[str]) -> "Future[dict[str, bytes]]":
        return self._done({})

    def append(self, task: str, events: Sequence[Event]) -> "Future[int]":
        if self.failure is None:
            self.answers[task] |= {event.event_id: event for event in events}
        return self._done(max((event.seq for event in self.answers[task].values()), default=0))

    def merge(self, task: str, hashes: Sequence[str] | None) -> "Future[MergedInMemory]":
        if self.failure is not None:
            return self._done(MergedInMemory())
        events = by_input(self.past(task).result())
        done = {
            name: self._merge_one(task, name, events[name]) for name in (events if hashes is None else hashes)
        }
        kinds = list(done.values())
        moved = {name: kind for name, kind in done.items() if kind in (ANSWERED_BY_OTHERS, TEXT_CHANGED)}
        counts = (kinds.count("written"), kinds.count("taken_back"), kinds.count("unchanged"))
        return self._done(MergedInMemory(*counts, moved))

    def past(self, task: str) -> "Future[list[Event]]":
        return self._done(sorted(self.answers[task].values(), key=lambda event: event.seq))

    def judged(self, task: str) -> "Future[list[JudgedLabel]]":
        from sparklabel.reviewing.insight.quality import JudgedLabel

        reasons = {event.input_hash: event.reason for event in self.answers[task].values()}
        answered = [
            row for row in self.rows[task].values() if row.label.source == "human" and row.label.model
        ]
        return self._done(
            [
                JudgedLabel(
                    value=row.label.value, model_value=row.label.model_value, confidence=row.label.confidence,
                    model=row.label.model or "", labeled_at="", reason=reasons.get(row.input_hash),
                )
                for row in answered
            ]
        )  # fmt: skip

    def close(self) -> None:
        pass

    def _merge_one(self, task: str, name: str, events: Sequence[Event]) -> str:
        row = self.rows[task].get(name)
        if row is None:
            return TEXT_CHANGED
        found, label = resolve(events), row.label
        ours = {(event.reviewer, event.answered_at) for event in events}
        holder = (label.reviewer, label.reviewed_at)
        if not found.is_answered:
            self._set(task, row, self._first[task][name])
            return "taken_back" if label.source == "human" and holder in ours else "unchanged"
        winner = next(
            e for e in reversed(events) if (e.reviewer, e.answered_at) == (found.reviewer, found.answered_at)
        )
        if label.source == "human" and holder not in ours and winner.before != before_of(row):
            return ANSWERED_BY_OTHERS
        answered = replace(
            label, value=found.value, source="human", reviewer=found.reviewer, reviewed_at=found.answered_at
        )
        self._set(task, row, answered)
        return "unchanged" if answered == label else "written"

    def _set(self, task: str, row: ReviewRow, label: RowLabel) -> None:
        self.rows[task][row.input_hash] = replace(row, label=label)

    def _done(self, value: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        if self.failure is None:
            future.set_result(value)
        else:
            future.set_exception(self.failure)
        return future
