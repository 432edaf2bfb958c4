"""The fields of a generated value: what people write, as a JSON schema for models, as a type for Spark.

In: a mapping of fields, a pydantic model, or a JSON schema. Out: a tuple of `Field`, which YAML can hold; from these
the JSON schema as text, the SQL type, the lines of a prompt, and the longest answer in tokens. Values are not checked
here: `structs` does that.
"""

import json
from collections.abc import Mapping, Sequence, Set
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StrictBool,
    ValidationInfo,
    field_validator,
    model_validator,
)

from sparklabel.sql import quote
from sparklabel.tasks.identifiers import Identifier
from sparklabel.tasks.json_schemas import NumbersForDecimals, described_fields
from sparklabel.tasks.label_options import NO_ORDER, check_legible, text_of
from sparklabel.texts import composed

FieldType = Literal["string", "integer", "number", "boolean", "date"]

LONGEST_TEXT = 200
"""Characters. Small models that decode greedily repeat themselves, and without a limit a text may never end."""

_MAX_ITEMS = 16
_LARGEST = 10**15 - 1
_USUAL_ITEMS = 4
_SQL_TYPES = {
    "string": "STRING", "integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN", "date": "DATE",
}  # fmt: skip
_TYPE_WORDS = {
    "string": "text", "integer": "whole number", "number": "number", "boolean": "true or false",
    "date": "date as YYYY-MM-DD",
}  # fmt: skip
_TOKENS = {"string": 64, "integer": 16, "number": 20, "boolean": 5, "date": 12}


class Field(BaseModel):
    """A field of a value. `options`: the only texts that it may have; without them, any. `nullable`: it is null if the
    text does not mention it. `many`: it has a list. A text has at most 200 characters, a list at most 16 items."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Identifier
    type: FieldType = "string"
    description: str = ""
    options: tuple[str, ...] = ()
    nullable: StrictBool = True
    many: StrictBool = False

    @field_validator("type", mode="before")
    @classmethod
    def _no_fields_in_fields(cls, kind: object, info: ValidationInfo) -> object:
        field = f"the field {info.data.get('name')!r}"
        if kind == "object":
            raise ValueError(f"{field} is an object: nested objects are not supported")
        if isinstance(kind, str) and kind not in _SQL_TYPES:
            raise ValueError(f"{field} has the type {kind!r}; there are {', '.join(_SQL_TYPES)}")
        return kind

    @field_validator("options", mode="before")
    @classmethod
    def _each_option_is_text(cls, options: object, info: ValidationInfo) -> object:
        if isinstance(options, Set):
            raise ValueError(NO_ORDER)
        if not isinstance(options, list | tuple):
            return options
        what = f"the field {info.data.get('name')!r}: the option"
        return tuple(text_of(option, what) for option in options)

    @model_validator(mode="after")
    def _options_are_texts(self) -> "Field":
        if self.options and self.type != "string":
            raise ValueError(f"the field {self.name!r} has options, so its type is string, not {self.type}")
        if len(set(map(composed, self.options))) < len(self.options) or not all(map(str.strip, self.options)):
            raise ValueError(f"the options of {self.name!r} hold a text twice, or a blank one")
        for option in self.options:
            check_legible(option)
        return self


def _as_fields(fields: object) -> object:
    """The forms that users may write, as a tuple of arguments of `Field`."""
    if isinstance(fields, type) and issubclass(fields, BaseModel):
        return described_fields(fields.model_json_schema(by_alias=False, schema_generator=NumbersForDecimals))
    if isinstance(fields, list | tuple):
        return fields
    if not isinstance(fields, Mapping):
        raise ValueError(f"give a mapping name -> type, a pydantic model or a JSON schema, not {fields!r}")
    if fields.get("type") == "object" and isinstance(fields.get("properties"), Mapping):
        return described_fields(fields)
    return tuple({**_long_form(what), "name": name} for name, what in fields.items())


def _long_form(what: object) -> Mapping[str, Any]:
    if isinstance(what, str):
        return {"type": what}
    if isinstance(what, Mapping):
        return what
    raise ValueError(
        f"{what!r} does not describe a field: give its type, or a mapping with type and description"
    )


def _distinct(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    if not fields:
        raise ValueError("there are no fields")
    seen: dict[str, str] = {}
    for field in fields:
        if other := seen.get(field.name.lower()):
            raise ValueError(f"{field.name!r} and {other!r} are one name to Spark, where case does not count")
        seen[field.name.lower()] = field.name
    return fields


Fields = Annotated[tuple[Field, ...], BeforeValidator(_as_fields), AfterValidator(_distinct)]
"""Fields of a task: a mapping name -> type or name -> {type, description, options, nullable, many}, a pydantic model,
or a JSON schema."""


def fields_as_written(fields: Sequence[Field]) -> dict[str, Any]:
    """Fields as YAML holds them: name -> type, or name -> all of its definition that is not a default."""
    given = {f.name: f.model_dump(mode="json", exclude={"name"}, exclude_defaults=True) for f in fields}
    return {
        f.name: {"type": f.type, **given[f.name]} if given[f.name].keys() - {"type"} else f.type
        for f in fields
    }


def sql_type(fields: Sequence[Field]) -> str:
    """The SQL type of a struct. Dates are DATE, so that SQL can compare and subtract them; an impossible date makes an
    answer invalid."""
    types = ((f.name, f"ARRAY<{_SQL_TYPES[f.type]}>" if f.many else _SQL_TYPES[f.type]) for f in fields)
    return f"STRUCT<{', '.join(f'{quote(name)}: {kind}' for name, kind in types)}>"


def signature(fields: Sequence[Field]) -> tuple[str, ...]:
    """A text for each field, which changes with anything that a model trained on it depends on."""
    return tuple(
        f"{f.name}:{f.type}{'[]' * f.many}{'?' * f.nullable}:{json.dumps(f.options, ensure_ascii=False)}"
        for f in fields
    )


def prompt_lines(fields: Sequence[Field]) -> str:
    """The fields as the prompt lists them, one per line."""
    return "\n".join(f"- {f.name} ({_says(f)})" + (f": {' '.join(f.description.split())}" * bool(f.description))
                     for f in fields)  # fmt: skip


def _says(field: Field) -> str:
    what = f"one of: {', '.join(field.options)}" if field.options else _TYPE_WORDS[field.type]
    nothing = "" if field.nullable else "; [] where there are none" if field.many else "; never null"
    return f"{'list, each ' * field.many}{what}{nothing}"


def token_budget(fields: Sequence[Field]) -> int:
    """How many tokens an answer may take: the usual lengths of values, and one token per character of the names."""
    return 8 + sum(len(f.name) + 6 + (_USUAL_ITEMS if f.many else 1) * _value_tokens(f) for f in fields)


def _value_tokens(field: Field) -> int:
    return max(map(len, field.options)) + 2 if field.options else _TOKENS[field.type]


def json_schema(fields: Sequence[Field]) -> str:
    """The JSON schema of an object with these fields, as text."""
    return json.dumps(
        object_schema({field.name: _field_schema(field) for field in fields}), ensure_ascii=False
    )


def object_schema(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of an object with exactly these properties, in order."""
    return {
        "type": "object", "properties": dict(properties), "required": list(properties), "additionalProperties": False,
    }  # fmt: skip


def text_schema(longest: int = LONGEST_TEXT) -> dict[str, Any]:
    """The schema of a text that is not empty."""
    return {"type": "string", "minLength": 1, "maxLength": longest}


def or_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"anyOf": [dict(schema), {"type": "null"}]}


def _field_schema(field: Field) -> dict[str, Any]:
    one = _one_value(field)
    if field.many:
        # A nullable list says nothing with null, and otherwise with an empty list.
        one = {"type": "array", "items": one, "minItems": int(field.nullable), "maxItems": _MAX_ITEMS}
    return or_null(one) if field.nullable else one


def _one_value(field: Field) -> dict[str, Any]:
    if field.options:
        return {"type": "string", "enum": list(field.options)}
    special: dict[str, dict[str, Any]] = {
        "string": text_schema() if field.nullable or field.many else text_schema() | {"minLength": 0},
        "date": {"type": "string", "format": "date"},
        "integer": {"type": "integer", "minimum": -_LARGEST, "maximum": _LARGEST},
    }
    return special.get(field.type, {"type": field.type})
