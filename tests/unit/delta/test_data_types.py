"""Types as trees: what is within them, their SQL, and which are equal."""

import pytest
from pyspark.sql.types import (
    ArrayType,
    DataType,
    IntegerType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
    VariantType,
)

from sparklabel.delta.data_types import ddl, holds_type, same_type

INT, TEXT = IntegerType(), StringType()


def struct(**fields: DataType) -> StructType:
    return StructType([StructField(name, found) for name, found in fields.items()])


STRICT = StructType([StructField("a", INT, nullable=False, metadata={"comment": "x"})])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (INT, INT, True),
        (INT, LongType(), False),
        (struct(a=INT), STRICT, True),
        (struct(a=INT), struct(A=INT), True),
        (struct(a=INT), struct(b=INT), False),
        (struct(a=INT), struct(a=TEXT), False),
        (struct(a=INT), struct(a=INT, b=INT), False),
        (struct(a=INT, b=TEXT), struct(b=TEXT, a=INT), False),
        (struct(a=INT), INT, False),
        (ArrayType(INT), ArrayType(INT, containsNull=False), True),
        (ArrayType(INT), ArrayType(TEXT), False),
        (ArrayType(INT), INT, False),
        (MapType(TEXT, struct(a=INT)), MapType(TEXT, STRICT, valueContainsNull=False), True),
        (MapType(TEXT, INT), MapType(TEXT, TEXT), False),
        (MapType(TEXT, INT), MapType(INT, INT), False),
        (MapType(TEXT, INT), INT, False),
    ],
)  # fmt: skip
def test_types_are_the_same_if_they_hold_the_same_values(one, other, same):
    assert same_type(one, other) is same
    assert same_type(other, one) is same


@pytest.mark.parametrize(
    ("found", "holds"),
    [
        (TimestampType(), True),
        (struct(at=TimestampType()), True),
        (ArrayType(struct(at=TimestampType())), True),
        (MapType(TEXT, TimestampType()), True),
        (MapType(TimestampType(), TEXT), True),
        (struct(timestamp=TEXT), False),
        (TimestampNTZType(), False),
    ],
)
def test_a_type_is_found_within_another_and_a_name_is_not_taken_for_one(found, holds):
    assert holds_type(found, TimestampType) is holds


def test_one_of_several_types_is_enough():
    assert holds_type(struct(a=VariantType()), MapType, VariantType)


def test_a_timestamp_is_written_so_that_it_means_the_same_in_each_session():
    at = struct(at=TimestampType(), day=TimestampNTZType())
    assert ddl(at) == "STRUCT<`at`: TIMESTAMP_LTZ, `day`: timestamp_ntz>"


def test_types_inside_maps_and_arrays_are_written_with_quoted_names():
    odd = MapType(TEXT, ArrayType(struct(**{"a: int> --": INT})))
    assert ddl(odd) == "MAP<string, ARRAY<STRUCT<`a: int> --`: int>>>"
