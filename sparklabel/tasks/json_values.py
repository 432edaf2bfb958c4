"""JSON as models write it: values with the places of their text, and stored values as JSON text.

In: a model's text, or a value as a table holds it (Spark's rows, lists, dates). Out: plain Python values, each with
the characters that it is written in, for its confidence; JSON text. Which value a task takes is said elsewhere.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NoReturn

from sparklabel.tasks.answer_modes import FieldSpan
from sparklabel.tasks.task import Example

_BLANKS = " \t\n\r"
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class JsonNode:
    """A value, written in [start, end) of a text; an object has `fields`, an array has `items`."""

    value: Any
    start: int
    end: int
    fields: Mapping[str, "JsonNode"] = field(default_factory=dict)
    items: tuple["JsonNode", ...] = ()


def parse_located(text: str) -> JsonNode:
    """The one JSON value that `text` holds. Raises ValueError where it holds none, or something beside it."""
    found = _value(text, _skip(text, 0), 0)
    if (end := _skip(text, found.end)) < len(text):
        raise ValueError(f"the answer goes on behind its JSON, at character {end}")
    return found


def value_spans(name: str, found: JsonNode) -> list[FieldSpan]:
    """Where the value of the field `name` is written: texts without their quotes, a list's items one by one; of what
    is empty, all of it."""
    if found.items:
        return [span for item in found.items for span in value_spans(name, item)]
    quotes = isinstance(found.value, str) and bool(found.value)
    return [FieldSpan(name, found.start + quotes, found.end - quotes)]


def json_text(value: Any) -> str:
    """JSON in the form that models are held to: `", "` and `": "`, keys in order, letters of every language as they
    are, dates as YYYY-MM-DD."""
    return json.dumps(plain(value), ensure_ascii=False, default=_iso)


def plain(value: Any) -> Any:
    """A stored value in Python's own types: Spark's rows, which are tuples too, become dicts."""
    if hasattr(value, "asDict"):
        value = value.asDict()
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value


def plain_examples(examples: tuple[Example, ...]) -> tuple[Example, ...]:
    """Examples whose answers are what YAML gives back: dates as text, rows and tuples as dicts and lists."""
    return tuple(
        Example(inputs=example.inputs, answer=json.loads(json_text(example.answer))) for example in examples
    )


def _iso(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise ValueError(f"an answer cannot hold {value!r}")


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


_SCALARS = json.JSONDecoder(parse_constant=_no_number)


def _value(text: str, at: int, depth: int) -> JsonNode:
    if depth > _DEEPEST:
        raise ValueError(f"the answer's JSON is nested deeper than {_DEEPEST} levels")
    if text.startswith("{", at):
        return _object(text, at, depth + 1)
    if text.startswith("[", at):
        return _array(text, at, depth + 1)
    value, end = _scalar(text, at)
    return JsonNode(value, at, end)


def _object(text: str, start: int, depth: int) -> JsonNode:
    fields: dict[str, JsonNode] = {}

    def read(at: int) -> int:
        name, colon = _scalar(text, at)
        if not isinstance(name, str) or name in fields:
            raise ValueError(f"the answer has a field {name!r} that is no text or is there twice")
        fields[name] = _value(text, _skip(text, _expect(text, _skip(text, colon), ":")), depth)
        return fields[name].end

    end = _members(text, start, "}", read)
    return JsonNode({name: part.value for name, part in fields.items()}, start, end, fields=fields)


def _array(text: str, start: int, depth: int) -> JsonNode:
    items: list[JsonNode] = []

    def read(at: int) -> int:
        items.append(_value(text, at, depth))
        return items[-1].end

    end = _members(text, start, "]", read)
    return JsonNode([item.value for item in items], start, end, items=tuple(items))


def _members(text: str, start: int, close: str, read: Callable[[int], int]) -> int:
    """`read` is called where each member begins, and gives where it ends; the result is where the brackets end."""
    at = _skip(text, start + 1)
    if text.startswith(close, at):
        return at + 1
    while True:
        at = _skip(text, read(at))
        if text.startswith(close, at):
            return at + 1
        at = _skip(text, _expect(text, at, ","))


def _scalar(text: str, at: int) -> tuple[Any, int]:
    try:
        return _SCALARS.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise ValueError(f"the answer is not JSON: {error.msg} at character {error.pos}") from None


def _expect(text: str, at: int, mark: str) -> int:
    if not text.startswith(mark, at):
        raise ValueError(f"the answer is not JSON: {mark!r} is missing at character {at}")
    return at + 1


def _skip(text: str, at: int) -> int:
    """The next place without a blank."""
    while at < len(text) and text[at] in _BLANKS:
        at += 1
    return at
