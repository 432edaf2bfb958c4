"""The JSON that the browser gets: of tasks, rows, suggestions, outcomes.

In: our records. Out: plain values. What a person must not see is left out here: suggestions of rows that judge models,
and others' answers.
"""

from typing import Any

from sparklabel.reviewing.asking.session import Outcome, TaskSession
from sparklabel.reviewing.asking.suggestions import Suggestion
from sparklabel.reviewing.people import Person
from sparklabel.reviewing.records import Before, Event, ReviewRow
from sparklabel.reviewing.table.changes import before_of
from sparklabel.tasks import Task

_LISTED_TEXT = 300
"""Characters of a text in a list of rows."""
LONG_TEXT = 20_000
"""Characters of a text above which a browser shows a part of it first."""
_GONE = "This row's text has changed, or the row is gone."


def task_view(task: Task) -> dict[str, Any]:
    """A task's definition, as the review screen needs it."""
    return {
        "name": task.name, "kind": task.kind, "inputs": list(task.inputs), "instructions": task.instructions,
        "labels": _options(getattr(task, "labels", None)), "types": _options(getattr(task, "types", None)),
        "scale": _scale(task), "fields": _fields(task), "extractive": bool(getattr(task, "extractive", False)),
        "left": list(getattr(task, "left", ())), "right": list(getattr(task, "right", ())),
    }  # fmt: skip


def row_view(session: TaskSession, row: ReviewRow, person: Person) -> dict[str, Any]:
    """A row, as this person may see it. That the person saw it is noted."""
    before = session.changes.note_sent(row, person.name)
    suggestion = session.suggestion(row)
    return {
        "id": row.input_hash, "key": row.key, "inputs": list(row.inputs), "blind": row.is_held_out,
        "reason": session.reason(row), "copies": row.copies,
        "suggestion": suggestion_view(suggestion) if suggestion else None, "before": _before_view(before),
        "moved": session.changes.told(row.input_hash),
        "long": any(len(text) > LONG_TEXT for text in row.inputs if text),
    }  # fmt: skip


def listed_view(session: TaskSession, row: ReviewRow, person: Person) -> dict[str, Any]:
    """A row in a list. Of one that judges models the person's own answer alone is told: who has read the model's, or
    another one's, might change it."""
    name, is_blind = row.input_hash, row.is_held_out
    resolution = session.history.resolution(name)
    model = None if is_blind else session.suggestions.by_model(row)
    in_table = before_of(row)
    by = {*resolution.votes, *filter(None, (resolution.reviewer, in_table.reviewer))}
    if is_blind:
        answer = resolution.votes.get(person.name)
    else:
        answer = resolution.value if resolution.is_answered else in_table.value
    return {
        "id": name, "key": row.key, "inputs": [_listed(text) for text in row.inputs], "blind": is_blind,
        "label": model.value if model else None, "confidence": model.confidence if model else None,
        "has_label": model is not None, "answer": answer, "by": sorted(by),
        "is_answered": resolution.is_answered or row.label.source == "human",
        "is_disputed": resolution.is_disputed and not is_blind,
        "is_flagged": name in session.history.flagged,
    }  # fmt: skip


def _listed(text: str | None) -> str | None:
    return text if text is None or len(text) <= _LISTED_TEXT else f"{text[:_LISTED_TEXT]}…"


def suggestion_view(suggestion: Suggestion) -> dict[str, Any]:
    """A suggestion, with its choices."""
    choices = [{"value": value, "probability": probability} for value, probability in suggestion.choices]
    return {
        "value": suggestion.value, "confidence": suggestion.confidence, "by": suggestion.by, "choices": choices,
    }  # fmt: skip


def outcome_view(session: TaskSession, outcome: Outcome, person: Person) -> dict[str, Any]:
    """What became of an event."""
    found: dict[str, Any] = {"event_id": outcome.event_id, "outcome": outcome.outcome}
    if outcome.why:
        found["why"] = outcome.why
    if outcome.row:
        found["row"] = row_view(session, outcome.row, person)
    return found


def answer_view(session: TaskSession, event: Event, person: Person) -> dict[str, Any]:
    """One of the person's own answers, with its row; without texts if the table does not have the row any more."""
    row = session.row(event.input_hash)
    shown = row_view(session, row, person) if row else _gone(session, event)
    return {"seq": event.seq, "row": shown, "value": event.value, "kind": event.kind, "at": event.answered_at}


def _gone(session: TaskSession, event: Event) -> dict[str, Any]:
    return {
        "id": event.input_hash, "key": event.key, "inputs": [None] * len(session.task.inputs), "blind": False,
        "reason": event.reason, "copies": 0, "suggestion": None, "before": None,
        "moved": session.changes.told(event.input_hash) or _GONE, "long": False,
    }  # fmt: skip


def _before_view(before: Before) -> dict[str, Any] | None:
    if before == Before():
        return None
    return {"value": before.value, "reviewer": before.reviewer, "reviewed_at": before.reviewed_at}


def _options(options: Any) -> list[dict[str, str]] | None:
    if not options:
        return None
    return [{"name": option.name, "description": option.description} for option in options]


def _scale(task: Task) -> list[dict[str, Any]] | None:
    points = getattr(task, "scale", None)
    return [{"value": point.number, "description": point.description} for point in points] if points else None


def _fields(task: Task) -> list[dict[str, Any]] | None:
    fields = getattr(task, "fields", None)
    if not fields:
        return None
    return [
        {
            "name": field.name, "type": field.type, "description": field.description,
            "enum": list(field.options) or None, "nullable": field.nullable, "many": field.many,
        }
        for field in fields
    ]  # fmt: skip
