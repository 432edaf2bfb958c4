"""Shards of a table's rows, and which of them share rows."""

import pytest

from sparklabel.errors import TableError
from sparklabel.table.shards import Shard, share_rows

SHARDS = [Shard(number, of) for of in range(1, 13) for number in range(of)]


@pytest.mark.parametrize("one", SHARDS, ids=str)
def test_two_shards_share_rows_if_some_hash_is_in_both(one):
    for other in SHARDS:
        there = any(
            h % one.of == one.number and h % other.of == other.number for h in range(one.of * other.of)
        )
        assert share_rows(one, other) == there


@pytest.mark.parametrize(("one", "other"), [(None, None), (Shard(0, 2), None), (None, Shard(1, 2))])
def test_all_rows_are_shared_with_everybody(one, other):
    assert share_rows(one, other)


@pytest.mark.parametrize(
    "wrong", [(2, 2), (-1, 2), (0, 0), (1,), (0, 1, 2), (0.0, 2), (True, 2), "0/2", 3, ["0", "2"]]
)
def test_what_is_no_part_of_the_rows_is_refused(wrong):
    with pytest.raises(TableError, match=r"shard=.* is not a part of the rows"):
        Shard.checked(wrong)


@pytest.mark.parametrize("given", [(3, 8), [3, 8]])
def test_a_shard_is_a_number_and_how_many_there_are(given):
    assert Shard.checked(given).sql(["id", "day"]) == "pmod(xxhash64(`id`, `day`), 8) = 3"
