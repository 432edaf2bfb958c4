"""JSON with the places of its values, and stored values as JSON."""

import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import Row

from sparklabel.tasks.json_values import json_text, parse_located, plain, value_spans

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
OBJECTS = st.dictionaries(st.text(), SCALARS | st.lists(SCALARS, max_size=4), max_size=5)


def slices(text):
    """The text of each field's value, as the spans give it."""
    fields = parse_located(text).fields
    return [(name, text[slice(*span)]) for name, part in fields.items() for span in value_spans(part)]


@given(OBJECTS, st.sampled_from([None, 1]), st.booleans())
def test_a_value_comes_back_from_any_form_of_json(value, indent, ascii_only):
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert parse_located(text).value == value


@given(OBJECTS)
def test_spans_hold_the_json_of_each_value_without_quotes(value):
    items = [(name, item) for name, v in value.items() for item in (v if isinstance(v, list) and v else [v])]
    bare = [(n, json_text(v)[1:-1] if isinstance(v, str) and v else json_text(v)) for n, v in items]
    assert slices(json_text(value)) == bare


def test_what_is_empty_is_its_own_span():
    assert slices('{"a": null, "b": "", "c": []}') == [("a", "null"), ("b", '""'), ("c", "[]")]


def test_a_list_has_a_span_for_each_item():
    text = '["x", "yz"]'
    assert value_spans(parse_located(text)) == ((2, 3), (7, 9))


def test_escapes_are_read_and_counted_as_they_are_written():
    assert slices(r'{"a": "\u00e9\n", "b": 1}') == [("a", r"\u00e9\n"), ("b", "1")]


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "nonsense", '{"a": 1', '{"a" 1}', '{"a": 1,}', "[1 2]", "[1,]", '{"a": 1} x', '{"a": 1, "a": 2}',
        "{1: 2}", "NaN", "[Infinity]", '"a\nb"', "01", "[" * 50_000,
    ],
)  # fmt: skip
def test_what_is_not_one_json_value_is_refused(text):
    with pytest.raises(ValueError, match=r"answer|JSON"):
        parse_located(text)


def test_a_huge_number_is_refused_and_not_computed():
    with pytest.raises(ValueError, match="integer"):
        parse_located("9" * 5000)


def test_rows_of_spark_are_plain_at_every_depth():
    assert plain(Row(a=1, b=[Row(c=None)])) == {"a": 1, "b": [{"c": None}]}
    assert plain((1, (2,))) == [1, [2]]


def test_json_is_written_in_the_form_that_models_are_held_to():
    assert json_text({"a": "Zoë", "b": [date(2024, 3, 1), None]}) == '{"a": "Zoë", "b": ["2024-03-01", null]}'


def test_what_is_no_json_is_refused_by_name():
    with pytest.raises(ValueError, match=r"cannot contain \{1\}"):
        json_text({"a": {1}})
