"""Values with fields: checked, read from a model's JSON, written, compared. Extraction and generation share this.

In: the fields, and a model's text or a stored value (a dict or a Spark row). Out: a dict with every field in order.
"""

import math
from collections.abc import Sequence
from datetime import date, datetime
from functools import partial
from typing import Any

from sparklabel.tasks.answer_modes import Generated, ParsedAnswer, WrittenField
from sparklabel.tasks.comparison import alike
from sparklabel.tasks.json_values import json_text, parse_located, plain, value_spans
from sparklabel.tasks.label_options import label_named, label_number
from sparklabel.tasks.schema import Field, json_schema, signature, token_budget

_LARGEST = 2**63


def struct_mode(fields: tuple[Field, ...], max_tokens: int | None) -> Generated:
    """The mode of a kind whose value is a struct of `fields`. Without `max_tokens` the fields decide."""
    return Generated(
        schema=json_schema(fields), max_tokens=max_tokens or token_budget(fields),
        read=partial(_read, fields), written=partial(struct_text, fields), accepts=partial(accepts, fields),
        categories=partial(_categories, fields), agreement=partial(_agreement, fields),
        field_agreement=partial(_field_agreement, fields), signature=signature(fields), metrics="extraction",
    )  # fmt: skip


def struct_of(fields: Sequence[Field], value: Any) -> dict[str, Any]:
    """The value with its fields in order and of their types. A missing field is null. Raises ValueError."""
    value = plain(value)
    if not isinstance(value, dict):
        raise ValueError(f"the answer is {value!r}, which has no fields")
    if unknown := [name for name in value if name not in {field.name for field in fields}]:
        raise ValueError(f"the answer has a field {unknown[0]!r}, which is not one of the task's")
    return {field.name: _field_value(field, value.get(field.name)) for field in fields}


def struct_text(fields: Sequence[Field], value: Any) -> str:
    """The value as the model should write it. Raises ValueError."""
    return json_text(struct_of(fields, value))


def accepts(fields: Sequence[Field], value: Any) -> bool:
    try:
        struct_of(fields, value)
    except ValueError:
        return False
    return True


def checked_text(value: Any) -> str:
    """The value, which must be text that tables can hold. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("the answer holds half a character (a surrogate)")
    return value


def _read(fields: tuple[Field, ...], text: str, inputs: Sequence[str]) -> ParsedAnswer:
    found = parse_located(text)
    value = struct_of(fields, found.value)
    written = {name: value_spans(part) for name, part in found.fields.items()}
    return ParsedAnswer(value, tuple(WrittenField(name, written.get(name, ())) for name in value))


def _categories(fields: tuple[Field, ...], value: Any) -> tuple[str, ...]:
    """The names of the fields that are not empty."""
    value = plain(value) or {}
    return tuple(field.name for field in fields if not alike(None, value.get(field.name)))


def _agreement(fields: tuple[Field, ...], gold: Any, value: Any) -> float:
    """The share of fields that agree, in [0, 1]."""
    if not (accepts(fields, gold) and accepts(fields, value)):
        return 0.0
    return sum(_field_agreement(fields, gold, value)) / len(fields)


def _field_agreement(fields: tuple[Field, ...], gold: Any, value: Any) -> list[float]:
    ours, theirs = struct_of(fields, gold), struct_of(fields, value)
    return [float(alike(ours[name], theirs[name])) for name in ours]


def _field_value(field: Field, value: Any) -> Any:
    if value is None and field.nullable:
        return None
    try:
        if not field.many:
            return _one_value(field, value)
        if not isinstance(value, list):
            raise ValueError(f"{value!r} is not a list")
        return [_one_value(field, item) for item in value]
    except ValueError as error:
        raise ValueError(f"{field.name}: {error}") from None


def _one_value(field: Field, value: Any) -> Any:
    if field.type == "string":
        if field.options and label_number(field.options, value) is None:
            raise ValueError(f"{value!r} is not one of {', '.join(field.options)}")
        return checked_text(label_named(field.options, value))
    if field.type == "date":
        return _date(value)
    return _number(field, value)


def _number(field: Field, value: Any) -> Any:
    """A boolean, a whole number of 64 bits, or a finite number."""
    kinds = {"boolean": bool, "integer": int, "number": int | float}[field.type]
    if not isinstance(value, kinds) or isinstance(value, bool) != (field.type == "boolean"):
        raise ValueError(f"{value!r} is not of type {field.type}")
    if field.type == "integer" and not -_LARGEST <= value < _LARGEST:
        raise ValueError(f"{value!r} does not fit into 64 bits")
    if field.type == "number" and not math.isfinite(value := _float(value)):
        raise ValueError("a number is too large")
    return value


def _float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _date(value: Any) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    # fromisoformat takes other forms of ISO 8601 too.
    if not isinstance(value, str) or (found := date.fromisoformat(value)).isoformat() != value:
        raise ValueError(f"{value!r} is not a date as YYYY-MM-DD")
    return found
