"""Keys that cannot be one, as messages show them."""

from datetime import date

import pyarrow as pa
import pytest

from sparklabel.errors import KeyColumnError
from sparklabel.table.key import check_unique_rows, key_range


def test_nan_is_equal_to_itself_as_in_sql():
    with pytest.raises(KeyColumnError, match="more than once: nan"):
        check_unique_rows(pa.table({"id": [1.0, float("nan"), float("nan")]}), "tickets", ["id"])


def test_a_key_is_shown_without_what_a_terminal_would_obey():
    with pytest.raises(KeyColumnError) as caught:
        check_unique_rows(pa.table({"id": ["\x1b[2Ja"] * 2}), "tickets", ["id"])
    assert "found more than once: \\x1b[2Ja." in caught.value.message


NOT_UTF8 = pa.array([b"\xff", b"a\xff"]).view(pa.string())
AFTER_9999 = pa.array([3_000_000, 4_000_000], pa.int32()).cast(pa.date32())
LATE = pa.array([4 * 10**17, 5 * 10**17]).cast(pa.timestamp("us", "Etc/Nowhere"))
STRUCTS = pa.StructArray.from_arrays([NOT_UTF8, AFTER_9999], ["text", "day"])
LISTS = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), NOT_UTF8)
WITHOUT_A_PYTHON_FORM = [
    (NOT_UTF8, "\\xff."), (AFTER_9999, "10183-09-21."), (LATE, "14645-06-30"), (STRUCTS, "{'text': b"), (LISTS, "[b"),
]  # fmt: skip


@pytest.mark.parametrize(("keys", "shown"), WITHOUT_A_PYTHON_FORM)
def test_keys_without_a_form_in_python_are_compared_and_shown_and_have_no_range(keys, shown):
    rows = pa.table({"id": keys})
    check_unique_rows(rows, "tickets", ["id"])
    assert key_range(rows, ["id"]) == {}
    with pytest.raises(KeyColumnError) as caught:
        check_unique_rows(rows.take([1, 0, 0]), "tickets", ["id"])
    assert f"found more than once: {shown}" in caught.value.message


def test_one_column_of_a_key_may_repeat_and_none_may_be_null():
    check_unique_rows(pa.table({"a": [1, 1], "b": ["x", "y"]}), "tickets", ["a", "b"])
    with pytest.raises(KeyColumnError, match="is NULL in some rows"):
        check_unique_rows(pa.table({"a": [1, 1], "b": ["x", None]}), "tickets", ["a", "b"])


@pytest.mark.parametrize(
    ("keys", "least", "greatest"),
    [
        (pa.array([7, -3, 5]), "-3L", "7L"),
        (pa.array([7, 5], pa.int32()), "5", "7"),
        (pa.array(["é", "it's", "Z"]), "'Z'", "'é'"),
        (pa.array([date(2026, 11, 28), date(999, 1, 2)]), "DATE'0999-01-02'", "DATE'2026-11-28'"),
    ],
)
def test_the_range_of_keys_is_told_in_literals_of_their_type(keys, least, greatest):
    assert key_range(pa.table({"id": keys}), ["id"]) == {"id": (least, greatest)}


@pytest.mark.parametrize("keys", [pa.array([1.5]), pa.array([], pa.int64()), pa.array([-(2**63)])])
def test_keys_without_a_literal_have_no_range(keys):
    assert key_range(pa.table({"id": keys}), ["id"]) == {}
