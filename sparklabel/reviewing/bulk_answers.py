"""Answers in bulk: kept in chunks, so that others' answers come between, and taken back together.

In: what a lead asks for. Out: events in the journal, figures. Which rows an answer is for, is decided in `bulk_events`.
"""

import asyncio
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sparklabel.reviewing.asking.bulk_events import (
    bulk_events,
    bulk_rows,
    bulk_undo_events,
    bulk_value,
    standing_bulks,
    still_standing,
)
from sparklabel.reviewing.people import Person
from sparklabel.reviewing.requests import BulkIn
from sparklabel.reviewing.review_state import NotReady, ReviewState

_CHUNK = 100
"""Events between which others are served: a few tens of milliseconds."""
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class BulkChanged(Exception):
    """The filter finds other rows than the person was told: `count`."""

    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkDone:
    """A bulk: its ID, how many rows were answered, and how many were left to people who had them on their screens or
    answered them meanwhile."""

    bulk: str
    answered: int
    left: int


class BulkOfRows(BulkIn):
    """A bulk of the rows that the person was told: `names` are those of `BulkRows`. None: their number is enough."""

    names: str | None = None


class BulkAnswers:
    """The bulks of a review. One is done at a time."""

    def __init__(self, state: ReviewState) -> None:
        self._state, self._lock = state, asyncio.Lock()

    async def give(self, task: str, given: BulkOfRows, lead: Person) -> BulkDone:
        """Gives all rows of a filter one answer.

        Raises:
            ValueError: The answer is none to the task.
            BulkChanged: The filter finds other rows by now.
            NotReady: The review is being ended.
            SetupError: The journal cannot be written. The chunks before are kept.
        """
        session, bulk, answered = self._state.session(task), uuid.uuid4().hex[:12], 0
        value = bulk_value(session, given.value)
        async with self._lock:
            found = bulk_rows(session, given.filter)
            rows = found.rows
            if len(rows) != given.count or given.names not in (None, found.names):
                raise BulkChanged(len(rows))
            for chunk in _chunks(rows):
                if self._state.is_closing:
                    raise NotReady("The review is being ended.")
                now = self._state.clock()
                free = [
                    row
                    for row in chunk
                    if not session.is_answered(row)
                    and not session.queue.is_with_others(row.input_hash, lead.name, now)
                ]
                events = bulk_events(session, free, value, lead, bulk, self._state.stamp())
                answered += await self._state.keep(task, events)
        return BulkDone(bulk=bulk, answered=answered, left=len(rows) - answered)

    async def undo(self, task: str, bulk: str, lead: Person) -> int:
        """Takes back the answers of a bulk that still stand; how many. Raises SetupError if the journal cannot be
        written."""
        async with self._lock:
            session = self._state.session(task)
            undone = 0
            for chunk in _chunks(standing_bulks(session).get(bulk, [])):
                standing = still_standing(session, chunk)  # others were served since the chunk before
                events = bulk_undo_events(standing, lead, bulk, self._state.stamp())
                undone += await self._state.keep(task, events)
            return undone


def _chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))
