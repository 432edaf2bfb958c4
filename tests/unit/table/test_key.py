"""Keys that cannot be one, as messages show them."""

from datetime import date

import pyarrow as pa
import pytest

from sparklabel.errors import KeyColumnError
from sparklabel.table.key import check_unique_rows, key_range


def test_a_key_is_shown_without_what_a_terminal_would_obey():
    with pytest.raises(KeyColumnError) as caught:
        check_unique_rows([{"id": "\x1b[2Ja"}] * 2, "tickets", ["id"])
    assert "found more than once: \\x1b[2Ja." in caught.value.message


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
