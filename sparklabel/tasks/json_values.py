"""JSON as models write it: values with their positions in the text, and stored values as JSON text.

In: a model's text, or a value as a table holds it (Spark rows, lists, dates). Out: plain Python values, each with its
position in the text, for its confidence; JSON text. Which values a task accepts is decided elsewhere.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NoReturn

from sparklabel.tasks.answer_modes import Span
from sparklabel.tasks.task import Example

_BLANKS = " \t\n\r"
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class JsonNode:
    """A value, at [start, end) of a text. An object has `fields`, an array has `items`."""

    value: Any
    start: int
    end: int
    fields: Mapping[str, "JsonNode"] = field(default_factory=dict)
    items: tuple["JsonNode", ...] = ()


def parse_located(text: str) -> JsonNode:
    """The JSON value that `text` consists of. Raises ValueError if there is none, or anything else beside it."""
    found = _value(text, _skip(text, 0), 0)
    if (end := _skip(text, found.end)) < len(text):
        raise ValueError(f"the answer continues after its JSON, at character {end}")
    return found


def written_items(text: str) -> tuple[JsonNode, ...]:
    """The items that are complete in a JSON list that may have been cut off; none if it is not a list."""
    items: list[JsonNode] = []
    at = _skip(text, 0)
    mark = "["
    while text.startswith(mark, at):
        try:
            items.append(_value(text, _skip(text, at + 1), 1))
        except ValueError:
            break
        at, mark = _skip(text, items[-1].end), ","
    return tuple(items)


def value_spans(found: JsonNode) -> tuple[Span, ...]:
    """The spans of a value: a text without its quotes, the items of a list one by one; all of an empty value."""
    if found.items:
        return tuple(span for item in found.items for span in value_spans(item))
    quotes = isinstance(found.value, str) and bool(found.value)
    return (Span(found.start + quotes, found.end - quotes),)


def json_text(value: Any) -> str:
    """JSON in the form that models must write: separators `", "` and `": "`, keys in order, no escapes for letters,
    dates as YYYY-MM-DD."""
    return json.dumps(plain(value), ensure_ascii=False, default=_iso)


def plain(value: Any) -> Any:
    """A stored value in Python's own types. Spark rows, which are tuples too, become dicts."""
    if hasattr(value, "asDict"):
        value = value.asDict()
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value


def plain_examples(examples: tuple[Example, ...]) -> tuple[Example, ...]:
    """Examples with answers as YAML gives them back: dates as text, rows and tuples as dicts and lists."""
    return tuple(
        Example(inputs=example.inputs, answer=json.loads(json_text(example.answer))) for example in examples
    )


def _iso(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise ValueError(f"an answer cannot contain {value!r}")


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
            raise ValueError(f"the answer has a field {name!r} that is not text, or is there twice")
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
    """Calls `read` with the start of each member, which returns its end. Returns the end of the brackets."""
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
    """The position of the next character that is not whitespace."""
    while at < len(text) and text[at] in _BLANKS:
        at += 1
    return at
