"""JSON schemas from users, their own or a pydantic model's, read as the fields of a value.

In: the schema of an object. Out: the arguments of `Field` for each property. A keyword that a field cannot express is
refused by name and never ignored: answers would not keep to it.
"""

from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

_OF_OBJECT = {
    "type",
    "properties",
    "required",
    "additionalProperties",
    "$defs",
    "definitions",
    "$schema",
    "$id",
}
_OF_FIELD = {"type", "description", "enum", "const", "items", "anyOf", "oneOf", "allOf", "$ref", "format"}
_NOTES = {"title", "description", "default", "examples", "deprecated", "$comment"}
_NULL = {"type": "null"}


class NumbersForDecimals(GenerateJsonSchema):
    """Pydantic's schemas, in which a Decimal is a number: pydantic itself lets it be a number or a text."""

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        """Raises ValueError for a Decimal whose digits are limited."""
        if limits := [word for word in ("max_digits", "decimal_places") if schema.get(word) is not None]:
            raise ValueError(f"a Decimal has {limits[0]!r}, which is not supported: remove it")
        kinds = super().decimal_schema(schema).get("anyOf", [])
        return next((kind for kind in kinds if kind.get("type") == "number"), {"type": "number"})


def described_fields(schema: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """The arguments of `Field` for each property. A property that is not required is nullable. Raises ValueError."""
    _check_keywords(schema, _OF_OBJECT, "the schema")
    definitions = schema.get("$defs") or schema.get("definitions") or {}
    required = schema.get("required", ())
    if not isinstance(required, list | tuple):
        raise ValueError("the schema's `required` is not a list")
    try:
        return tuple(
            {"nullable": False, **_described(name, part, definitions), "name": name}
            | ({} if name in required else {"nullable": True})
            for name, part in schema["properties"].items()
        )
    except (RecursionError, TypeError, AttributeError) as error:
        raise ValueError(f"the schema cannot be read: {error}") from None


def _described(name: str, part: Any, definitions: Mapping[str, Any]) -> dict[str, Any]:
    """A property's type, description, options, nullable and many, without defaults."""
    part = _resolved(name, part, definitions)
    _check_keywords(part, _OF_FIELD, f"the field {name!r}")
    description = {"description": part["description"]} if part.get("description") else {}
    if either := next((word for word in ("anyOf", "oneOf") if part.get(word)), ""):
        _check_read(name, part, {either})
        return {**_one_or_null(name, part[either], definitions), **description}
    if kinds := _listed_types(part):
        return {**_one_or_null(name, kinds, definitions), **description}
    if part.get("type") == "array":
        _check_read(name, part, {"type", "items"})
        item = _described(name, part.get("items"), definitions)
        if item.get("many") or item.get("nullable"):
            raise ValueError(f"the field {name!r} is a list of lists or of nulls, which is not supported")
        return {**item, "many": True, **description}
    _check_read(name, part, {"type", "format", "enum" if "enum" in part else "const"})
    options = part.get("enum", [part["const"]] if "const" in part else ())
    nullable = {"nullable": True} if None in options else {}
    texts = [option for option in options if option is not None]
    return {"type": _type(name, part), **({"options": texts} if texts else {}), **nullable, **description}


def _listed_types(part: Mapping[str, Any]) -> list[dict[str, Any]]:
    """`{type: [string, "null"]}` as a list of alternatives."""
    types = part.get("type")
    return (
        [{**part, "type": kind} if kind != "null" else _NULL for kind in types]
        if isinstance(types, list)
        else []
    )


def _one_or_null(name: str, kinds: list[Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    others = [kind for kind in kinds if kind != _NULL]
    if len(others) != 1:
        raise ValueError(
            f"the field {name!r} has {len(others)} types; give it one, and null if it may be missing"
        )
    return _described(name, others[0], definitions) | ({"nullable": True} if len(kinds) > 1 else {})


def _resolved(name: str, part: Any, definitions: Mapping[str, Any]) -> dict[str, Any]:
    """The property with its reference resolved; its own keywords win."""
    if not isinstance(part, Mapping):
        raise ValueError(f"the field {name!r} has no schema")
    same = part.get("allOf", ())
    if len(same) == 1:
        part = _both(name, same[0], {key: value for key, value in part.items() if key != "allOf"})
    reference = part.get("$ref")
    if reference is None:
        return dict(part)
    found = definitions.get(str(reference).rpartition("/")[2])
    if not isinstance(found, Mapping) or "$ref" in found:
        raise ValueError(f"the field {name!r} refers to {reference!r}, which is not defined")
    return _both(name, found, {key: value for key, value in part.items() if key != "$ref"})


def _both(name: str, one: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Raises ValueError if both restrict the field by the same keyword."""
    for word in own:
        if word in one and word not in _NOTES and one[word] != own[word]:
            raise ValueError(f"the field {name!r} has {word!r} twice, which is not supported")
    return {**one, **own}


def _type(name: str, part: Mapping[str, Any]) -> str:
    form = part.get("format")
    if form not in (None, "date"):
        raise ValueError(f"the field {name!r} has the format {form!r}; only date is supported")
    if "type" not in part and not ("enum" in part or "const" in part):
        raise ValueError(f"the field {name!r} has no type")
    return "date" if form == "date" else part.get("type", "string")


def _check_read(name: str, part: Mapping[str, Any], read: set[str]) -> None:
    """Raises ValueError if a keyword would restrict the field further than those that are read."""
    if left := [key for key in part if key in _OF_FIELD - _NOTES - read]:
        others = "".join(f" beside {key!r}" for key in part if key in read)
        raise ValueError(f"the field {name!r} has {left[0]!r}{others}, which is not supported")


def _check_keywords(part: Mapping[str, Any], known: set[str], what: str) -> None:
    if unknown := [key for key in part if key not in known | _NOTES]:
        if "properties" in unknown or part.get("type") == "object":
            raise ValueError(f"{what} is an object: nested objects are not supported")
        raise ValueError(f"{what} has {unknown[0]!r}, which is not supported: remove it")
