"""Entities: the names in a text, by type. The model quotes them as JSON; the value says where they are.

A quote is looked up in the row's text. The stored text is that slice of the row, with its position in characters
(Unicode code points, as Python's slices; `substring(text, start + 1, end - start)` in SQL). A quote that the row does
not contain is left out and counted.
"""

import json
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from pydantic import field_validator, model_validator

from sparklabel.tasks.answer_modes import Generated, ParsedAnswer, Span, WrittenField
from sparklabel.tasks.comparison import f1
from sparklabel.tasks.json_values import (
    JsonNode,
    json_text,
    parse_located,
    plain,
    plain_examples,
    value_spans,
)
from sparklabel.tasks.label_options import LabelOptions, as_written, label_named, label_number, listed
from sparklabel.tasks.schema import object_schema, text_schema
from sparklabel.tasks.spans import aligned
from sparklabel.tasks.task import Count, Task
from sparklabel.texts import composed

NONE = "none"
"""The category of an answer without entities, and the name of its field confidence."""

_LONGEST = 100
_KEYS = {"text", "type", "start", "end"}


class Entities(Task):
    """Which entities of these `types` does the text contain? The value is an array, in the order of the text.

    A row has at most `max_entities` entities of at most 100 characters: small models that decode greedily repeat
    themselves. An entity takes about 20 tokens, so raise `max_tokens` together with `max_entities`.
    """

    kind: Literal["entities"] = "entities"
    types: LabelOptions
    max_entities: Count = 24
    max_tokens: Count = 512

    _plain_examples = field_validator("examples")(plain_examples)

    @model_validator(mode="after")
    def _one_input_and_no_type_none(self) -> "Entities":
        if len(self.inputs) != 1:
            raise ValueError(
                f"entities are found in exactly one input, and the inputs are {list(self.inputs)}"
            )
        if NONE in self.type_names:
            raise ValueError(
                f"a type cannot be named {NONE!r}: texts without entities are counted under that name"
            )
        for example in self.examples:
            if not _accepts(self.type_names, example.answer):
                raise ValueError(
                    f"an example is answered {example.answer!r}, which is not a list of {{text, type}} "
                    f"with the types {', '.join(self.type_names)}"
                )
        return self

    @property
    def type_names(self) -> tuple[str, ...]:
        return tuple(kind.name for kind in self.types)

    @property
    def value_type(self) -> str:
        return "ARRAY<STRUCT<`text`: STRING, `type`: STRING, `start`: INT, `end`: INT>>"

    @property
    def answer_mode(self) -> Generated:
        names = self.type_names
        return Generated(
            schema=_schema(names, self.max_entities), max_tokens=self.max_tokens,
            read=partial(_read, names), written=partial(_written, names), accepts=partial(_accepts, names),
            categories=partial(_categories, names),
            agreement=strict_f1, field_agreement=_each_agreement, signature=names, metrics="entities",
        )  # fmt: skip

    def question(self) -> str:
        """The instructions, then the types: on one line, or one per line if any is described."""
        types = listed([(kind.name, kind.description) for kind in self.types])
        return (
            f"{self.instructions.strip() or 'Find the entities in the text.'}\nThe types of entities are:{types}\n"
            'Answer with one JSON list of {"text": ..., "type": ...} in the order of the text, each text copied '
            "word for word; [] where there are none."
        )

    def verbalize(self, answer: Any) -> str:
        return _written(self.type_names, answer)

    def to_dict(self) -> dict[str, Any]:
        return super().to_dict() | {"types": as_written(self.types)}


def entity_keys(*answers: Sequence[dict[str, Any]]) -> list[list[tuple[Any, ...]]]:
    """For each answer, its entities as comparable keys: text, type and start; or text and type if any entity of these
    answers has no start, which people may leave out."""
    placed = all(entity.get("start") is not None for answer in answers for entity in answer)
    return [
        [_key(entity) + ((entity["start"],) if placed else ()) for entity in answer] for answer in answers
    ]


def _key(entity: dict[str, Any]) -> tuple[Any, ...]:
    return composed(entity["text"]), composed(entity["type"])


def strict_f1(gold: Any, value: Any) -> float:
    """F1 over equal entities, in [0, 1]; 1 if both answers have none."""
    gold, value = plain(gold), plain(value)
    if not isinstance(gold, list) or not isinstance(value, list):
        return 0.0
    return f1(equal_entities(gold, value), len(gold), len(value))


def equal_entities(gold: Sequence[dict[str, Any]], value: Sequence[dict[str, Any]]) -> int:
    """How many entities of two answers are equal."""
    ours, theirs = map(Counter, entity_keys(gold, value))
    return (ours & theirs).total()


def _each_agreement(gold: Any, value: Any) -> list[float]:
    """1 for each entity of `value` that `gold` has, as often as it has it; for no entities, whether gold has none."""
    gold, value = plain(gold), plain(value)
    if not value:
        return [float(not gold)]
    ours, theirs = entity_keys(gold, value)
    left = Counter(ours)
    right = []
    for key in theirs:
        right.append(float(left[key] > 0))
        left[key] -= 1
    return right


def _schema(types: Sequence[str], most: int) -> str:
    entity = object_schema({"text": text_schema(_LONGEST), "type": {"type": "string", "enum": list(types)}})
    return json.dumps({"type": "array", "items": entity, "maxItems": most}, ensure_ascii=False)


def _read(types: tuple[str, ...], text: str, inputs: Sequence[str]) -> ParsedAnswer:
    """Each entity is a field that is named after its type; that of an empty list is `NONE`."""
    found = parse_located(text)
    if not _accepts(types, found.value):
        raise ValueError("the answer is not a list of {text, type} with the task's types")
    places = aligned([part.value["text"] for part in found.items], inputs[0])
    kept = [
        (_entity(label_named(types, part.value["type"]), inputs[0], *place), _spans(part))
        for part, place in zip(found.items, places, strict=True)
        if place
    ]
    kept.sort(key=lambda one: (one[0]["start"], one[0]["end"], one[0]["type"]))
    fields = [WrittenField(entity["type"], spans) for entity, spans in kept]
    return ParsedAnswer(
        [entity for entity, _ in kept],
        tuple(fields) or (WrittenField(NONE, value_spans(found)),),
        len(places) - len(kept),
    )


def _entity(kind: str, text: str, start: int, end: int) -> dict[str, Any]:
    return {"text": text[start:end], "type": kind, "start": start, "end": end}


def _spans(entity: JsonNode) -> tuple[Span, ...]:
    return tuple(span for part in entity.fields.values() for span in value_spans(part))


def _written(types: tuple[str, ...], value: Any) -> str:
    """Text and type, in the order of the text; entities without a position come last."""
    entities = sorted(
        plain(value), key=lambda e: (e.get("start") is None, e.get("start") or 0, e.get("end") or 0)
    )
    return json_text(
        [{"text": entity["text"], "type": label_named(types, entity["type"])} for entity in entities]
    )


def _accepts(types: tuple[str, ...], value: Any) -> bool:
    """Accepts a list of entities, whose start and end may be missing."""
    value = plain(value)
    return isinstance(value, list) and all(_is_entity(types, entity) for entity in value)


def _is_entity(types: tuple[str, ...], entity: Any) -> bool:
    return (
        isinstance(entity, dict)
        and entity.keys() <= _KEYS
        and isinstance(text := entity.get("text"), str)
        and bool(text.strip())
        and label_number(types, entity.get("type")) is not None
        and all(type(entity.get(place)) in (int, type(None)) for place in ("start", "end"))
    )


def _categories(types: tuple[str, ...], value: Any) -> tuple[str, ...]:
    """The types of the entities; `NONE` without entities."""
    named = (label_named(types, entity["type"]) for entity in plain(value) or ())
    return tuple(dict.fromkeys(named)) or (NONE,)
