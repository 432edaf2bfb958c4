"""Fields as people write them, and what becomes of them: a JSON schema, a SQL type, lines of a prompt."""

import enum
import json
from datetime import date
from decimal import Decimal
from typing import Literal

import pytest
import yaml
from pydantic import BaseModel
from pydantic import Field as Described

from sparklabel import extraction
from sparklabel.errors import TaskError
from sparklabel.tasks import task_from_dict
from sparklabel.tasks.schema import Field, json_schema, prompt_lines, signature, sql_type, token_budget


def fields_of(source):
    return extraction("invoice", "text", source).fields


class Status(enum.Enum):
    PAID = "paid"
    OPEN = "open"


class Invoice(BaseModel):
    vendor: str = Described(description="who sent it")
    total: float | None
    due: date | None = None
    status: Status = Described(description="of the payment")
    kind: Literal["bill", "credit"] | None = None
    items: list[str]
    copies: int = 1


INVOICE = (
    Field(name="vendor", description="who sent it", nullable=False),
    Field(name="total", type="number"),
    Field(name="due", type="date"),
    Field(name="status", options=("paid", "open"), description="of the payment", nullable=False),
    Field(name="kind", options=("bill", "credit")),
    Field(name="items", many=True, nullable=False),
    Field(name="copies", type="integer"),
)


def test_a_type_is_enough_for_a_field():
    assert fields_of({"total": "number"}) == (Field(name="total", type="number"),)


def test_the_long_form_says_more():
    long = {"type": "string", "description": "d", "options": ["x", "y"], "nullable": False, "many": True}
    expected = Field(name="a", description="d", options=("x", "y"), nullable=False, many=True)
    assert fields_of({"a": long}) == (expected,)


def test_a_pydantic_model_gives_the_same_fields():
    assert fields_of(Invoice) == INVOICE


def test_a_json_schema_gives_the_same_fields():
    assert fields_of(Invoice.model_json_schema()) == INVOICE


def test_a_type_list_with_null_is_nullable():
    schema = {"type": "object", "properties": {"a": {"type": ["integer", "null"]}}, "required": ["a"]}
    assert fields_of(schema) == (Field(name="a", type="integer"),)


def test_null_among_the_options_is_nullable():
    schema = {"type": "object", "properties": {"a": {"enum": ["x", None]}}, "required": ["a"]}
    assert fields_of(schema) == (Field(name="a", options=("x",)),)


def test_fields_called_type_and_properties_are_fields():
    assert [field.name for field in fields_of({"type": "string", "properties": "string"})] == [
        "type",
        "properties",
    ]


def test_yaml_gives_the_fields_back():
    task = extraction("invoice", "text", Invoice)
    assert task_from_dict(yaml.safe_load(task.to_yaml())) == task
    assert task.to_dict()["fields"]["total"] == "number"


def schema_of(**field):
    return {"type": "object", "properties": {"a": field}}


class Outer(BaseModel):
    inner: Invoice


class Level(BaseModel):
    level: Literal[1, 2]


class Amount(BaseModel):
    total: Decimal
    tax: Decimal | None = None


class Limited(BaseModel):
    total: Decimal = Described(max_digits=5)


BAD = {
    "no fields": ({}, "there are no fields"),
    "nothing": (None, "give a mapping name -> type"),
    "an unknown type": ({"a": "text"}, "the field 'a' has the type 'text'; there are string, integer"),
    "a number for a type": ({"a": 3}, "3 does not describe a field"),
    "a name with a blank": ({"a b": "string"}, "'a b' must be letters"),
    "names that differ in case": ({"a": "string", "A": "string"}, "'A' and 'a' are one name to Spark"),
    "a name twice": ([{"name": "a"}, {"name": "a"}], "'a' and 'a' are one name to Spark"),
    "options of a number": ({"a": {"type": "integer", "options": ["x"]}}, "so its type is string"),
    "an option twice": ({"a": {"options": ["x", "x"]}}, "hold a text twice, or a blank one"),
    "an option in two forms": ({"a": {"options": ["\u00e9", "e\u0301"]}}, "hold a text twice, or a blank one"),
    "an option that is no text": ({"a": {"options": [1, 2]}}, "the field 'a': the option 1 is not text"),
    "a Literal of numbers": (Level, "the field 'level': the option 1 is not text"),
    "an option that hides a character": ({"a": {"options": ["a\u202eb"]}}, "has whitespace at an end, or control"),
    "options in one text": ({"b": "string", "a": {"options": "xy"}}, "fields.a.options: must be a list, not 'xy'"),
    "a nullable that is no truth value": ({"a": {"nullable": "maybe"}}, "fields.a.nullable: must be True or False"),
    "a field of a list without a name": ([{"type": "string"}], "fields.0.name: is missing"),
    "a Decimal of limited digits": (Limited, "a Decimal has 'max_digits', which is not supported"),
    "an unknown key": ({"a": {"max": 3}}, "fields.a.max: "),
    "an object": ({"a": "object"}, "nested objects are not supported"),
    "an object in a schema": (schema_of(type="object", properties={}), "nested objects are not supported"),
    "an object in a model": (Outer, "the field 'inner' is an object"),
    "a bound": (schema_of(type="integer", minimum=3), "'a' has 'minimum', which is not supported"),
    "two parts": (schema_of(type="string", allOf=[{"minLength": 3}, {"maxLength": 5}]), "'allOf' beside 'type'"),
    "options beside alternatives": (
        schema_of(anyOf=[{"type": "string"}, {"type": "null"}], enum=["x", None]), "'enum' beside 'anyOf'",
    ),
    "options twice": (schema_of(allOf=[{"enum": ["a", "b"]}], enum=["b", "c"]), "has 'enum' twice"),
    "alternatives twice": (
        schema_of(anyOf=[{"type": "string"}], oneOf=[{"type": "integer"}]), "'oneOf' beside 'anyOf'",
    ),
    "options of a list": (schema_of(type="array", items={"type": "string"}, enum=[["x"]]), "'enum' beside 'type'"),
    "a format": (schema_of(type="string", format="email"), "the format 'email'"),
    "two types": (schema_of(type=["string", "integer"]), "has 2 types"),
    "no type": (schema_of(description="d"), "the field 'a' has no type"),
    "a list of lists": (schema_of(type="array", items={"type": "array", "items": {"type": "string"}}), "list of lists"),
    "a list of anything": (schema_of(type="array"), "the field 'a' has no schema"),
    "a reference to nowhere": (schema_of(**{"$ref": "#/$defs/X"}), "which is not defined"),
}  # fmt: skip


def test_a_decimal_of_a_pydantic_model_is_a_number():
    assert [(field.type, field.nullable) for field in fields_of(Amount)] == [
        ("number", False),
        ("number", True),
    ]


@pytest.mark.parametrize("case", BAD)
def test_fields_that_cannot_work_are_refused(case):
    source, message = BAD[case]
    with pytest.raises(TaskError) as raised:
        fields_of(source)
    assert message in raised.value.message


def test_the_json_schema_takes_all_fields_in_order_and_no_other():
    schema = json.loads(json_schema(INVOICE))
    names = [field.name for field in INVOICE]
    assert (schema["required"], list(schema["properties"]), schema["additionalProperties"]) == (
        names,
        names,
        False,
    )


def test_what_is_nullable_may_be_null_and_nothing_else_may():
    properties = json.loads(json_schema(INVOICE))["properties"]
    nullable = [name for name, part in properties.items() if {"type": "null"} in part.get("anyOf", ())]
    assert nullable == ["total", "due", "kind", "copies"]


def test_options_and_dates_are_held_to_their_form():
    properties = json.loads(json_schema(INVOICE))["properties"]
    assert properties["status"] == {"type": "string", "enum": ["paid", "open"]}
    assert properties["due"]["anyOf"][0] == {"type": "string", "format": "date"}


def test_there_is_one_way_to_say_nothing():
    empty, null = (Field(name=name, many=True, nullable=name == "null") for name in ("empty", "null"))
    properties = json.loads(json_schema([empty, null]))["properties"]
    assert properties["empty"]["minItems"] == 0
    assert properties["null"]["anyOf"][0]["minItems"] == 1


def test_everything_has_a_bound_so_that_an_answer_ends():
    one = {field.type: json.loads(json_schema([field]))["properties"]["a"] for field in (
        Field(name="a", nullable=False), Field(name="a", type="integer", nullable=False),
    )}  # fmt: skip
    assert "maxLength" in one["string"]
    assert {"minimum", "maximum"} <= one["integer"].keys()


def test_the_sql_type_is_a_struct():
    types = {"n": "integer", "x": "number", "b": "boolean", "end": "string"}
    fields = fields_of(types | {"d": {"type": "date", "many": True}})
    assert sql_type(fields) == (
        "STRUCT<`n`: BIGINT, `x`: DOUBLE, `b`: BOOLEAN, `end`: STRING, `d`: ARRAY<DATE>>"
    )


def test_arrow_takes_the_values_of_each_type():
    pa = pytest.importorskip("pyarrow")
    kind = pa.struct(
        [("d", pa.date32()), ("n", pa.int64()), ("x", pa.float64()), ("l", pa.list_(pa.string()))]
    )
    value = {"d": date(2024, 2, 29), "n": -(2**63), "x": 0.5, "l": ["a"]}
    assert pa.array([value, None], type=kind).to_pylist() == [value, None]


def test_the_prompt_names_type_options_and_description():
    assert prompt_lines(INVOICE[:4]) == (
        "- vendor (text; never null): who sent it\n- total (number)\n- due (date as YYYY-MM-DD)\n"
        "- status (one of: paid, open; never null): of the payment"
    )


def test_the_prompt_says_what_a_list_is_without_items():
    assert prompt_lines(INVOICE[5:6]) == "- items (list, each text; [] where there are none)"


@pytest.mark.parametrize(
    "change", [{"type": "date"}, {"options": ("x",)}, {"nullable": False}, {"many": True}, {"name": "b"}]
)
def test_the_signature_changes_with_what_an_answer_may_be(change):
    assert signature([Field(name="a")]) != signature([Field(**{"name": "a"} | change)])


def test_the_signature_does_not_change_with_a_description():
    assert signature([Field(name="a")]) == signature([Field(name="a", description="d")])


def test_more_fields_get_more_tokens():
    assert token_budget(INVOICE) > token_budget(INVOICE[:3]) > token_budget(INVOICE[:1]) > 64
