"""A value that a person gave, as the table will hold it, or why it cannot be.

In: a task, a value as JSON has it, the row's inputs. Out: the value in the task's own form; or, of a row that is gone,
what is known of it. A browser is never trusted
to have sent one: a value of another type would stop all answers from reaching the table.
"""

import json
import math
from collections.abc import Sequence
from typing import Any

from sparklabel.arguments import is_number
from sparklabel.reviewing.records import ReviewRow
from sparklabel.reviewing.requests import EventIn
from sparklabel.tasks import Answering, AnswerMode, Entities, Multilabel, Rating, Scored, Task
from sparklabel.tasks.json_values import json_text, plain
from sparklabel.tasks.structs import struct_of

_LARGEST = 200_000
"""Characters of an answer."""


def checked_value(task: Task, mode: AnswerMode, value: Any, inputs: Sequence[str | None]) -> Any:
    """The value as the task writes it. Raises ValueError, whose text tells a person what is wrong with it. `mode` is
    the task's, which takes long to make. `inputs` are empty of a row that is gone."""
    if not mode.accepts(value):
        raise ValueError(f"{_short(value)} is not an answer to {task.name!r}.")
    if len(json_text(value)) > _LARGEST:
        raise ValueError(f"An answer has at most {_LARGEST:,} characters.")
    if isinstance(task, Rating):
        return _number(value)
    if isinstance(task, Multilabel):
        given = mode.categories(value) if value else ()
        return [name for name in task.label_names if name in given]
    if isinstance(mode, Scored):
        return mode.choices[mode.chosen(value)[0]]
    if isinstance(task, Entities):
        return _entities(value, (inputs[0] or "") if inputs else None)
    if fields := getattr(task, "fields", ()):
        return _texts_of_dates(struct_of(fields, value))
    if (
        isinstance(task, Answering)
        and task.extractive
        and value is not None
        and inputs
        and value not in (inputs[1] or "")
    ):
        raise ValueError(f"{_short(value)} does not stand in the text.")
    return value


def is_right(mode: AnswerMode, answer: Any, value: Any) -> bool:
    """Whether a model's value says what a person's answer says."""
    return mode.agreement(answer, value) >= 1 - 1e-9


def _entities(value: list[dict[str, Any]], text: str | None) -> list[dict[str, Any]]:
    """With positions at which the text has them: an offset counted in other units than characters is found here."""
    for entity in value:
        start, end = entity.get("start"), entity.get("end")
        is_placed = start is not None and end is not None and start >= 0
        if not is_placed or (text is not None and text[start:end] != entity["text"]):
            raise ValueError(f"{_short(entity['text'])} does not stand at {start} to {end} of the text.")
    ordered = sorted(value, key=lambda one: (one["start"], one["end"], one["type"]))
    return [{name: entity[name] for name in ("text", "type", "start", "end")} for entity in ordered]


def _number(value: Any) -> float:
    if not is_number(value) or not math.isfinite(value):
        raise ValueError(f"{_short(value)} is not a number.")
    return float(value)


def _texts_of_dates(value: dict[str, Any]) -> Any:
    def text(one: Any) -> Any:
        return one.isoformat() if hasattr(one, "isoformat") else one

    return {
        name: [text(item) for item in one] if isinstance(one, list) else text(one)
        for name, one in plain(value).items()
    }


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def gone_row(given: EventIn, other: ReviewRow | None) -> ReviewRow:
    """The row of an event that came after it had been changed or deleted, and the server started anew: what was said of
    it is kept, though it is not written to any row.

    Args:
        given: The event; its key tells which row it was.
        other: A row of the same table, whose key shows what keys are like there.

    Raises:
        ValueError: There cannot have been such a row.
    """
    if other is None or given.key is None or _key_types(given.key) != _key_types(other.key):
        raise ValueError("There is no such row. It may have been changed or deleted.")
    return ReviewRow(input_hash=given.id, key=given.key, inputs=())


def _key_types(key: str) -> Any:
    """The columns of a key, as JSON has it, and the types of what they hold; None for what is not one."""
    try:
        found = json.loads(key)
    except ValueError:
        return None
    return {name: type(value) for name, value in found.items()} if isinstance(found, dict) else None
