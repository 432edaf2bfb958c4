"""What becomes of a row's label, given what people said of its input and what the row holds.

In: the events of one input, and a row's current answer. Out: a `Decision`. Pure: nothing is read or written here. An
answer that came into the table otherwise, by SQL or from another tool, stays unless the person saw it when answering.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sparklabel.reviewing.records import ANSWER, RESOLVE, Before, Event, Resolution
from sparklabel.reviewing.resolve import canonical, resolve

WRITE, GIVE_BACK, TO_MODEL, KEEP = "write", "give_back", "to_model", "keep"
"""Write a person's answer; give the row back to the person who had answered before, or to the model; leave it."""
TEXT_CHANGED, ANSWERED_BY_OTHERS, TASK_CHANGED = REFUSALS = (
    "text_changed",
    "answered_by_others",
    "task_changed",
)
_Answer = tuple[str, str | None, str | None]


@dataclass(frozen=True, slots=True)
class Held:
    """A row's answer as the table has it.

    Attributes:
        is_human: Whether a person answered.
        reviewed_at: ISO 8601 in UTC.
    """

    is_human: bool
    value: Any = None
    reviewer: str | None = None
    reviewed_at: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with a row.

    Attributes:
        action: WRITE, GIVE_BACK, TO_MODEL or KEEP.
        refused: One of REFUSALS if an answer is not written; the row is kept.
    """

    action: str = KEEP
    value: Any = None
    reviewer: str | None = None
    reviewed_at: str | None = None
    reason: str | None = None
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the events of one input come to, for all rows that have it."""

    events: Sequence[Event]
    resolution: Resolution
    is_accepted: bool

    @classmethod
    def of(cls, events: Sequence[Event], accepts: Callable[[Any], bool]) -> "Verdict":
        """`accepts` tells whether a value is an answer to the task as it is now."""
        found = resolve(events)
        return cls(events, found, found.is_answered and accepts(found.value))

    @property
    def without_rows(self) -> str:
        """Why the answer is not in the table if no row has its input any more."""
        return TEXT_CHANGED if self.resolution.is_answered else ""

    def decide(self, held: Held) -> Decision:
        """What becomes of a row."""
        if self.resolution.is_answered and not self.is_accepted:
            return Decision(refused=TASK_CHANGED)
        if self.resolution.is_answered:
            return self._written(held)
        if held.is_human and _answer(held) in self._ours:
            return self._given_back(held)
        return Decision()

    def _written(self, held: Held) -> Decision:
        found = self.resolution
        write = Decision(WRITE, found.value, found.reviewer, found.answered_at, found.reason)
        if not held.is_human:
            return write
        if (canonical(found.value), found.reviewer, found.answered_at) == _answer(held):
            return Decision()
        if _answer(held) in self._ours or _was_seen(self._winner.before, held):
            return write
        # Who says the same elsewhere has said it: there is nothing to tell.
        is_same = canonical(found.value) == canonical(held.value)
        return Decision() if is_same else Decision(refused=ANSWERED_BY_OTHERS)

    def _given_back(self, held: Held) -> Decision:
        """Back to what was there before our first answer: each answer knows what it replaced."""
        ours, at = self._ours, _answer(held)
        passed: set[_Answer] = set()
        while at in ours and at not in passed:
            passed.add(at)
            before = ours[at].before
            at = _answer(before)
        if before == Before() or at in passed:
            return Decision(TO_MODEL)
        return Decision(GIVE_BACK, before.value, before.reviewer or None, before.reviewed_at)

    @property
    def _ours(self) -> dict[_Answer, Event]:
        return {
            (canonical(event.value), event.reviewer, event.answered_at): event
            for event in self.events
            if event.kind in (ANSWER, RESOLVE)
        }

    @property
    def _winner(self) -> Event:
        found = self.resolution
        return self._ours[canonical(found.value), found.reviewer, found.answered_at]


def _answer(of: Held | Before) -> _Answer:
    return canonical(of.value), of.reviewer or None, of.reviewed_at


def _was_seen(before: Before, held: Held) -> bool:
    """Whether the row still holds what the person saw. A pass may have added the time to a correction by SQL since."""
    if before == Before():
        return False
    is_unsigned = not before.reviewer and before.reviewed_at is None
    seen, there = _answer(before), _answer(held)
    return seen[:2] == there[:2] and (is_unsigned or seen == there)
