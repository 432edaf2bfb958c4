"""What a lead looks at: rows that people dispute, how each person answers, everything that was answered.

In: a task's session. Out: frozen records. Nothing is decided here: a lead's decisions are events like all others.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from sparklabel.reviewing.asking.answer_values import is_right
from sparklabel.reviewing.asking.session import TaskSession
from sparklabel.reviewing.people import Person
from sparklabel.reviewing.records import (
    ANSWER,
    FLAG,
    NOBODY,
    RESOLVE,
    SKIP,
    UNDO,
    Event,
    Resolution,
    ReviewRow,
)
from sparklabel.reviewing.resolve import canonical, resolve
from sparklabel.tasks import AnswerMode


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
        answers, decisions: How many stand.
        skips, flags, undone: How many.
        seconds: The median of an answer; None without any.
        agrees_with_model: On how many audited rows, which were shown without the model's answer, and of how many.
        agrees_with_others: On how many of the rows that others answered too, with most of them, and of how many.
        took_suggestions: How many answers are the suggestion that was shown, and of how many with one.
    """

    name: str
    answers: int
    decisions: int
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


def people_figures(session: TaskSession, names: Sequence[str]) -> list[PersonFigures]:
    """The figures of these people, in one pass over all events: the server's thread makes them."""
    mode = session.task.answer_mode  # takes long to make
    tallies = {name: _Tally() for name in {*names, *session.history.people}}
    for one in session.history.inputs():
        events, votes = session.history.events(one), session.history.resolution(one).votes
        for event in events:
            tallies[event.reviewer].note(event)
        for name in {event.reviewer for event in events if event.kind == RESOLVE}:
            tallies[name].decisions += _standing(events, name).by_lead
        if votes:
            _compare(session, mode, one, votes, tallies)
    return [_figures(name, tallies[name], session.history.standing(name)) for name in names]


def standing_inputs(session: TaskSession, name: str) -> list[str]:
    """The inputs on which a person's answer or decision stands."""
    found = []
    for one in session.history.inputs():
        events = session.history.events(one)
        if any(event.reviewer == name for event in events):
            stands = _standing(events, name)
            if stands.votes or stands.by_lead:
                found.append(one)
    return found


def undo_events(session: TaskSession, name: str, lead: Person, at: str, until: int) -> list[Event]:
    """Events that take back all answers and decisions of a person, in the lead's words: one for each that stands.

    Args:
        session: Of the task.
        name: Whose.
        lead: Who takes them back.
        at: When, ISO 8601 in UTC with microseconds.
        until: The journal's number up to which the lead knew: what the person has spoken of since stays.
    """
    events = []
    for one in standing_inputs(session, name):
        own = [
            event for event in session.history.events(one) if event.reviewer == name and event.kind != FLAG
        ]
        last, stands = own[-1], resolve(own)
        if last.seq <= until:
            number = len(stands.votes) + stands.by_lead
            events += [last.taken_back(f"taken back by {lead.name}", at) for _ in range(number)]
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


@dataclass(slots=True)
class _Tally:
    """What is counted of a person."""

    kinds: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    decisions: int = 0
    with_model: list[bool] = field(default_factory=list)
    with_others: list[bool] = field(default_factory=list)
    took: list[bool] = field(default_factory=list)

    def note(self, event: Event) -> None:
        """Counts an event."""
        self.kinds[event.kind] += 1
        if event.kind == ANSWER:
            if event.seconds is not None:
                self.seconds.append(event.seconds)
            if event.shown.by != NOBODY:
                self.took.append(_text(event.value) == _text(event.shown.value))


def _compare(
    session: TaskSession, mode: AnswerMode, one: str, votes: Mapping[str, Any], tallies: Mapping[str, _Tally]
) -> None:
    """Counts who says what the model says, and what most others say."""
    row = session.row(one)
    if row and session.history.is_audited(one) and (model := session.suggestions.by_model(row)):
        for name, value in votes.items():
            tallies[name].with_model.append(is_right(mode, value, model.value))
    if len(votes) > 1:
        said = {name: _text(value) for name, value in votes.items()}
        for name, own in said.items():
            others = [value for other, value in said.items() if other != name]
            tallies[name].with_others.append(own == max(others, key=others.count))


def _figures(name: str, tally: _Tally, answers: int) -> PersonFigures:
    return PersonFigures(
        name=name, answers=answers, decisions=tally.decisions, skips=tally.kinds[SKIP], flags=tally.kinds[FLAG],
        undone=tally.kinds[UNDO], seconds=median(tally.seconds) if tally.seconds else None,
        agrees_with_model=_share(tally.with_model), agrees_with_others=_share(tally.with_others),
        took_suggestions=_share(tally.took),
    )  # fmt: skip


def _text(value: Any) -> str:
    """Equal for equal values, as `canonical`, which takes long for the many that are texts."""
    return f'"{value}"' if isinstance(value, str) else canonical(value)


def _share(found: list[bool]) -> tuple[int, int]:
    return sum(found), len(found)


def _standing(events: Iterable[Event], name: str) -> Resolution:
    """What a person's own events come to: a vote, a decision, both or neither."""
    return resolve(event for event in events if event.reviewer == name)
