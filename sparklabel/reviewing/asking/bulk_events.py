"""One answer for all rows that a filter finds, as events like all others, and those that take it back.

In: a task's session, a filter, an answer. Out: the rows that it is for, events for the journal. Nothing is kept here.
Held-out rows never get an answer in bulk, as it would judge models unseen; nor do rows that have a person's answer.
"""

import hashlib
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sparklabel.reviewing.asking.answer_values import checked_value
from sparklabel.reviewing.asking.bulk_notes import bulk_note, bulk_of
from sparklabel.reviewing.asking.row_list import fitting_rows, held_out_rows
from sparklabel.reviewing.asking.session import TaskSession
from sparklabel.reviewing.people import Person
from sparklabel.reviewing.records import ANSWER, QUEUE, Event, ReviewRow
from sparklabel.reviewing.requests import FilterIn
from sparklabel.reviewing.resolve import standing
from sparklabel.tasks import Answering, Entities, Scored


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkRows:
    """What a filter finds: the rows that an answer in bulk is for, and how many are left out because they judge models,
    or because people answered them."""

    rows: Sequence[ReviewRow]
    held_out: int
    answered: int

    @property
    def names(self) -> str:
        """Tells these rows from others, in whatever order: a hash of their inputs' hashes."""
        return hashlib.sha256("\n".join(sorted(row.input_hash for row in self.rows)).encode()).hexdigest()


def bulk_rows(session: TaskSession, wanted: FilterIn) -> BulkRows:
    """The rows of a filter."""
    learning = [row for row in fitting_rows(session, wanted) if not row.is_held_out]
    rows = [row for row in learning if not session.is_answered(row)]
    return BulkRows(rows=rows, held_out=held_out_rows(session, wanted), answered=len(learning) - len(rows))


def bulk_value(session: TaskSession, value: Any) -> Any:
    """The answer as the task writes it. Raises ValueError if it is none, or says more than that there is nothing and is
    no choice: words of one text are no answer to another."""
    task = session.task
    mode, is_nothing = task.answer_mode, value is None or value == []
    if not isinstance(mode, Scored) and not (is_nothing and isinstance(task, Answering | Entities)):
        raise ValueError(
            "What is written about one text is no answer to others: only choices are given in bulk."
        )
    return checked_value(task, mode, value, [""] * len(task.inputs))


def bulk_events(
    session: TaskSession, rows: Iterable[ReviewRow], value: Any, lead: Person, bulk: str, at: str
) -> list[Event]:
    """The answers of a bulk.

    Args:
        session: Of the task.
        rows: Those of `bulk_rows`.
        value: Of `bulk_value`.
        lead: Who answers.
        bulk: The bulk's ID.
        at: When, ISO 8601 in UTC with microseconds.
    """
    task, fingerprint = session.task.name, session.task.fingerprint
    return [
        Event(
            event_id=uuid.uuid4().hex, task=task, key=row.key, input_hash=row.input_hash, kind=ANSWER, value=value,
            reviewer=lead.name, reason=QUEUE, note=bulk_note(bulk), task_fingerprint=fingerprint,
            model=row.label.model, answered_at=at,
        )
        for row in rows
    ]  # fmt: skip


def standing_bulks(session: TaskSession) -> dict[str, list[Event]]:
    """The answers in bulk that are still their person's last word, by the bulk's ID."""
    found: dict[str, list[Event]] = {}
    for name in session.history.inputs():
        for event in _last_words(session.history.events(name)):
            if bulk := bulk_of(event):
                found.setdefault(bulk, []).append(event)
    return found


def still_standing(session: TaskSession, answers: Iterable[Event]) -> list[Event]:
    """Those of the answers that are their person's last word by now."""
    return [
        one
        for one in answers
        if any(one.event_id == last.event_id for last in _last_words(session.history.events(one.input_hash)))
    ]


def bulk_undo_events(answers: Iterable[Event], lead: Person, bulk: str, at: str) -> list[Event]:
    """Events that take back a bulk's answers, in the name of who gave them."""
    note = f"taken back by {lead.name}: {bulk_note(bulk)}"
    return [one.taken_back(note, at) for one in answers]


def _last_words(events: Iterable[Event]) -> list[Event]:
    """The answers that an undo of their person would take back now: a decision would be taken back before."""
    words, decisions = standing(events)
    return [event for reviewer, event in words.items() if reviewer not in decisions]
