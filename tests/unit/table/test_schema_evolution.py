"""Two releases' types of one record compared: what is lacking, what is the same, what cannot be one."""

import pytest
from pyspark.sql.types import (
    ArrayType,
    DataType,
    DoubleType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
)

from sparklabel.errors import ColumnError
from sparklabel.table.schema_evolution import is_record, missing_fields

INT, TEXT, NUMBER = IntegerType(), StringType(), DoubleType()


def struct(**fields: DataType) -> StructType:
    return StructType([StructField(name, found) for name, found in fields.items()])


def missing(ours, theirs):
    return list(missing_fields(ours, theirs, ("my col",)))


def test_missing_fields_are_named_with_their_types():
    ours = struct(a=INT, b=TEXT, c=struct(d=NUMBER), e=ArrayType(struct(f=INT)))
    assert missing(ours, struct(a=INT)) == [
        ("`my col`.`b`", "string"),
        ("`my col`.`c`", "STRUCT<`d`: double>"),
        ("`my col`.`e`", "ARRAY<STRUCT<`f`: int>>"),
    ]


def test_fields_inside_structs_and_arrays_are_looked_at_too():
    ours = struct(c=struct(d=NUMBER, e=INT), f=ArrayType(struct(g=TEXT, h=INT)))
    theirs = struct(c=struct(d=NUMBER), f=ArrayType(struct(g=TEXT)))
    assert missing(ours, theirs) == [("`my col`.`c`.`e`", "int"), ("`my col`.`f`.`element`.`h`", "int")]


def test_fields_match_regardless_of_case_and_extra_fields_are_ignored():
    assert missing(struct(theName=INT), struct(THENAME=INT, more=TEXT)) == []


def test_nullability_does_not_count():
    theirs = StructType([StructField("a", ArrayType(INT, containsNull=False), nullable=False)])
    assert missing(struct(a=ArrayType(INT)), theirs) == []


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        (struct(a=INT), struct(a=LongType()), "'my col.a' is bigint, and a label record has int there"),
        (struct(a=struct(b=INT)), struct(a=INT), "'my col.a' is int, and a label record has struct<b:int> there"),
        (struct(a=INT), struct(a=ArrayType(INT)), "'my col.a' is array<int>, and a label record has int there"),
        (
            struct(a=ArrayType(struct(p=NUMBER))),
            struct(a=ArrayType(struct(p=TEXT))),
            "'my col.a.element.p' is string, and a label record has double there",
        ),
        (struct(a=INT), TEXT, "'my col' is string, and a label record has struct<a:int> there"),
    ],
)  # fmt: skip
def test_a_field_of_another_type_is_named(ours, theirs, message):
    with pytest.raises(ColumnError, match=message) as caught:
        missing(ours, theirs)
    assert "column=" in caught.value.hint


def test_odd_names_are_quoted_at_every_depth():
    inner = struct(**{"a b": ArrayType(struct(**{"c.d": struct(**{"`": INT})}))})
    assert missing(struct(**{"it's `odd`": inner}), struct()) == [
        ("`my col`.`it's ``odd```", "STRUCT<`a b`: ARRAY<STRUCT<`c.d`: STRUCT<````: int>>>>")
    ]


@pytest.mark.parametrize(
    ("found", "known"),
    [
        (struct(value=TEXT, status=TEXT, source=TEXT), True),
        (struct(VALUE=INT, status=TEXT, Source=TEXT, more=INT), True),
        (struct(value=TEXT, status=TEXT), False),
        (struct(status=TEXT, source=TEXT), False),
        (struct(value=TEXT, source=TEXT), False),
        (TEXT, False),
    ],
)
def test_a_record_has_a_value_a_status_and_a_source(found, known):
    assert is_record(found) is known
