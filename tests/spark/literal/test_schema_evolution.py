"""A record of one release read and written as another's: SQL that converts it, on structs written out."""

import pytest
from pyspark.sql.types import DataType

from sparklabel.delta.data_types import same_type
from sparklabel.table.schema_evolution import cast_struct_sql

STRUCTS = {
    "equal types are left as they are": (
        "named_struct('a', 1)", "STRUCT<a: INT>", "STRUCT<a: INT>", {"a": 1},
    ),
    "a field that is lacking is NULL": (
        "named_struct('a', 1)", "STRUCT<a: INT>", "STRUCT<a: INT, b: STRING>", {"a": 1, "b": None},
    ),
    "a field that is unknown is left out": (
        "named_struct('a', 1, 'b', 'x')", "STRUCT<a: INT, b: STRING>", "STRUCT<a: INT>", {"a": 1},
    ),
    "fields are found by name": (
        "named_struct('b', 'x', 'a', 1)", "STRUCT<b: STRING, a: INT>", "STRUCT<a: INT, b: STRING>",
        {"a": 1, "b": "x"},
    ),
    "whatever the case, and named as wanted": (
        "named_struct('THEname', 1)", "STRUCT<THEname: INT>", "STRUCT<theName: INT>", {"theName": 1},
    ),
    "no struct stays none": (
        "CAST(NULL AS STRUCT<a: INT>)", "STRUCT<a: INT>", "STRUCT<a: INT, b: INT>", None,
    ),
    "a struct of nothing stays one": (
        "named_struct('a', CAST(NULL AS INT))", "STRUCT<a: INT>", "STRUCT<a: INT, b: INT>", {"a": None, "b": None},
    ),
    "a struct in a struct": (
        "named_struct('a', named_struct('b', 1))", "STRUCT<a: STRUCT<b: INT>>", "STRUCT<a: STRUCT<b: INT, c: INT>>",
        {"a": {"b": 1, "c": None}},
    ),
    "structs in an array": (
        "array(named_struct('a', 1), NULL)", "ARRAY<STRUCT<a: INT>>", "ARRAY<STRUCT<b: INT, a: INT>>",
        [{"b": None, "a": 1}, None],
    ),
    "no array": ("CAST(NULL AS ARRAY<STRUCT<a: INT>>)", "ARRAY<STRUCT<a: INT>>", "ARRAY<STRUCT<b: INT>>", None),
    "arrays in arrays": (
        "array(array(named_struct('a', 1)))", "ARRAY<ARRAY<STRUCT<a: INT>>>", "ARRAY<ARRAY<STRUCT<a: INT, b: INT>>>",
        [[{"a": 1, "b": None}]],
    ),
    "odd names": (
        "named_struct('it\\'s `odd`', 1)", "STRUCT<`it's ``odd```: INT>",
        "STRUCT<`it's ``odd```: INT, `a b`: ARRAY<STRUCT<`c.d`: INT>>>", {"it's `odd`": 1, "a b": None},
    ),
    "what is no struct": ("1", "INT", "INT", 1),
}  # fmt: skip


@pytest.fixture(scope="module")
def converted(spark):
    """Each case's value as Python has it, and its type as Spark has it."""
    columns = []
    for case, (_, have, want, _) in STRUCTS.items():
        types = (DataType.fromDDL(ddl) for ddl in (have, want))
        columns.append(f"{cast_struct_sql(f'v.`{case}`', *types)} AS `{case}`")
    values = ", ".join(f"{value} AS `{case}`" for case, (value, *_) in STRUCTS.items())
    frame = spark.sql(f"SELECT {', '.join(columns)} FROM (SELECT struct({values}) AS v)")
    return frame.first().asDict(recursive=True), frame.schema


@pytest.mark.parametrize("case", STRUCTS)
def test_a_value_is_converted_by_its_fields_names(converted, case):
    row, schema = converted
    *_, want, expected = STRUCTS[case]
    assert row[case] == expected
    assert same_type(schema[case].dataType, DataType.fromDDL(want))
    assert [*row[case]] == [*expected] if isinstance(expected, dict) else True


def test_a_value_that_has_the_type_already_is_not_rebuilt(spark):
    for ddl in ("STRUCT<a: INT>", "ARRAY<STRUCT<a: INT>>", "STRING"):
        found = DataType.fromDDL(ddl)
        assert cast_struct_sql("v", found, found) == "v"
