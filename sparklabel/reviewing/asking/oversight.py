"""What a lead looks at: rows that people dispute, how each person answers, everything that was answered.

In: a task's session. Out: frozen records. Nothing is decided here: a lead's decisions are events like all others.
"""

import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from sparklabel.reviewing.asking.answer_values import is_right
from sparklabel.reviewing.asking.session import TaskSession
from sparklabel.reviewing.people import Person
from sparklabel.reviewing.records import ANSWER, FLAG, SKIP, UNDO, Event, ReviewRow
from sparklabel.reviewing.resolve import canonical


@dataclass(frozen=True, slots=True)
class Dispute:
    """A row that people are divided on, and how many say what, most first. Who says it is not told before a decision:
    it is about the row."""

    row: ReviewRow
    votes: tuple[tuple[Any, int], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonFigures:
    """How a person answers a task.

    Attributes:
        name: Who.
        answers, skips, flags, undone: How many.
        seconds: The median of an answer; None without any.
        agrees_with_model: On how many audited rows, which were shown without the model's answer, and of how many.
        agrees_with_others: On how many of the rows that others answered too, with most of them, and of how many.
        took_suggestions: How many answers are the suggestion that was shown, and of how many with one.
    """

    name: str
    answers: int
    skips: int
    flags: int
    undone: int
    seconds: float | None
    agrees_with_model: tuple[int, int]
    agrees_with_others: tuple[int, int]
    took_suggestions: tuple[int, int]


def disputes(session: TaskSession) -> list[Dispute]:
    """The disputed rows that are loaded, in the order in which they came to be disputed."""
    found = []
    for name in session.history.disputed:
        if row := session.row(name):
            votes = session.history.resolution(name).votes.values()
            values = {canonical(value): value for value in votes}
            counts = Counter(map(canonical, votes)).most_common()
            notes = tuple(event.note for event in session.history.events(name) if event.note)
            found.append(Dispute(row, tuple((values[text], count) for text, count in counts), notes))
    return found


def person_figures(session: TaskSession, name: str) -> PersonFigures:
    """A person's figures."""
    events = [event for one in session.history.inputs() for event in session.history.events(one)]
    own = [event for event in events if event.reviewer == name]
    counts = Counter(event.kind for event in own)
    times = [event.seconds for event in own if event.kind == ANSWER and event.seconds is not None]
    return PersonFigures(
        name=name, answers=session.history.standing(name), skips=counts[SKIP], flags=counts[FLAG], undone=counts[UNDO],
        seconds=median(times) if times else None, agrees_with_model=_with_model(session, name),
        agrees_with_others=_with_others(session, name), took_suggestions=_took(own),
    )  # fmt: skip


def undo_events(session: TaskSession, name: str, lead: Person, at: str) -> list[Event]:
    """Events that take back all answers of a person, in the lead's words."""
    events = []
    for one in list(session.history.inputs()):
        if name in session.history.resolution(one).votes:
            last = next(event for event in reversed(session.history.events(one)) if event.reviewer == name)
            events.append(
                Event(
                    event_id=uuid.uuid4().hex, task=last.task, key=last.key, input_hash=one, kind=UNDO, reviewer=name,
                    reason=last.reason, note=f"taken back by {lead.name}", task_fingerprint=last.task_fingerprint,
                    model=last.model, answered_at=at,
                )
            )  # fmt: skip
    return events


def exported(session: TaskSession) -> Iterator[dict[str, Any]]:
    """Every input that has an answer, with what everybody said; its texts are None if it is not loaded."""
    for name in list(session.history.inputs()):
        resolution, events = session.history.resolution(name), session.history.events(name)
        if resolution.votes or resolution.is_answered:
            row = session.row(name)
            yield {
                "key": events[0].key, "input_hash": name, "inputs": list(row.inputs) if row else None,
                "value": resolution.value, "is_disputed": resolution.is_disputed, "by_lead": resolution.by_lead,
                "reviewer": resolution.reviewer, "answered_at": resolution.answered_at,
                "reason": session.history.reason(name),
                "votes": dict(resolution.votes), "notes": [event.note for event in events if event.note],
            }  # fmt: skip


def _with_model(session: TaskSession, name: str) -> tuple[int, int]:
    mode, found = session.task.answer_mode, []
    for one in session.history.inputs():
        votes, row = session.history.resolution(one).votes, session.row(one)
        if name in votes and row and session.history.is_audited(one):
            model = session.suggestions.by_model(row)
            found += [is_right(mode, votes[name], model.value)] if model else []
    return sum(found), len(found)


def _with_others(session: TaskSession, name: str) -> tuple[int, int]:
    found = []
    for one in session.history.inputs():
        votes = {who: canonical(value) for who, value in session.history.resolution(one).votes.items()}
        own, others = votes.pop(name, None), Counter(votes.values()).most_common(1)
        found += [own == others[0][0]] if own is not None and others else []
    return sum(found), len(found)


def _took(own: list[Event]) -> tuple[int, int]:
    with_one = [event for event in own if event.kind == ANSWER and event.shown.by != "none"]
    return sum(canonical(event.value) == canonical(event.shown.value) for event in with_one), len(with_one)
