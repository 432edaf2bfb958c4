"""What happened in the table since people were shown its rows, and what they are told of it.

In: what a merge did not write, and what each person was shown. Out: sentences for people, and whether a row is to be
shown again.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sparklabel.reviewing.records import Before, Event, ReviewRow
from sparklabel.reviewing.resolve import by_input
from sparklabel.reviewing.table.label_decisions import (
    ANSWERED_BY_OTHERS,
    TASK_CHANGED,
    TEXT_CHANGED,
    Held,
    Verdict,
)
from sparklabel.reviewing.table.sides import TableSide
from sparklabel.tasks import Task
from sparklabel.texts import counted

_COUNTED = {
    TEXT_CHANGED: "text has changed, or the row is gone",
    ANSWERED_BY_OTHERS: "answered in the table meanwhile",
    TASK_CHANGED: "no longer an answer to the task",
}
_WHY = {
    TEXT_CHANGED: "This row's text has changed, or the row is gone. The answer is kept, and was not written.",
    TASK_CHANGED: "The task has changed, and this is no longer an answer to it. It is kept, and was not written.",
}


def not_written_lines(counts: Mapping[str, int]) -> list[str]:
    """How many inputs' answers were not written, for a report: a line for each reason."""
    return [f"not written: {counted(number, 'input')} ({_COUNTED[why]})" for why, number in counts.items()]


def answered_by_others(moved: Mapping[str, str]) -> list[str]:
    """The inputs, of those that a merge did not write, to which the table has another person's answer."""
    return [name for name, why in moved.items() if why == ANSWERED_BY_OTHERS]


class TableChanges:
    """The changes that concern the rows of one task."""

    def __init__(self) -> None:
        self._sent: dict[tuple[str, str], Before] = {}
        self._told: dict[str, str] = {}
        self._seen: dict[str, tuple[Before, int]] = {}

    def told(self, name: str) -> str | None:
        """What happened to the row since it was answered; None if nothing did."""
        return self._told.get(name)

    def forget(self, name: str) -> None:
        """Somebody has answered the row as it is now."""
        self._told.pop(name, None)

    def note_sent(self, row: ReviewRow, reviewer: str) -> Before:
        """Notes whose answer in the table the person is shown with the row."""
        before = before_of(row)
        if before == Before():
            self._sent.pop((row.input_hash, reviewer), None)
        else:
            self._sent[row.input_hash, reviewer] = before
        return before

    def sent(self, name: str, reviewer: str) -> Before:
        """Whose answer the person was shown."""
        return self._sent.get((name, reviewer), Before())

    def note_moved(self, moved: Mapping[str, str]) -> None:
        """Takes why answers were not written; those that others overtook are told by `is_overtaken`."""
        self._told |= {name: _WHY[why] for name, why in moved.items() if why in _WHY}

    def is_overtaken(self, row: ReviewRow, why: str, last_seq: int) -> bool:
        """Whether another person's answer stands in the table, and that is news: a merge says it each time."""
        seen = (before_of(row), last_seq)
        if why != ANSWERED_BY_OTHERS or self._seen.get(row.input_hash) == seen:
            return False
        self._seen[row.input_hash] = seen
        self.tell_overtaken(row)
        return True

    def tell_overtaken(self, row: ReviewRow) -> str:
        """The sentence about it, which stays with the row until somebody answers."""
        self._told[row.input_hash] = (
            f"{row.label.reviewer or 'Somebody'} answered this row in the table meanwhile."
        )
        return self._told[row.input_hash]


def before_of(row: ReviewRow) -> Before:
    """The person's answer that the table holds; of a model's label nothing."""
    label = row.label
    if label.source != "human":
        return Before()
    found = Before(value=label.value, reviewer=label.reviewer, reviewed_at=label.reviewed_at)
    # A NULL that nobody signed must be told from nothing.
    return replace(found, reviewer="") if found == Before() else found


async def overtaken_rows(
    table: TableSide, task: Task, events: Sequence[Event], rows: Mapping[str, ReviewRow]
) -> tuple[dict[str, str], dict[str, ReviewRow]]:
    """The answers that the table refused earlier, and would refuse now, as somebody has answered there who was not
    seen: why, as a merge says it, and the rows. `events` are a journal's; `rows` those of the answers that were
    refused, as they are now."""
    accepts = task.answer_mode.accepts
    found = _overtaken(by_input(events), rows, accepts)
    if found:  # unless another review's answers stand there, which count as much
        past: list[Event] = await asyncio.wrap_future(table.past(task.name))
        found = _overtaken(by_input(past), {name: rows[name] for name in found}, accepts)
    return found, {name: rows[name] for name in found}


def _overtaken(
    events: Mapping[str, Sequence[Event]], rows: Mapping[str, ReviewRow], accepts: Callable[[Any], bool]
) -> dict[str, str]:
    found = {}
    for name, row in rows.items():
        label = row.label
        held = Held(label.source == "human", label.value, label.reviewer, label.reviewed_at)
        refused = Verdict.of(events.get(name, ()), accepts).decide(held).refused
        if refused == ANSWERED_BY_OTHERS:
            found[name] = refused
    return found
