"""How many rows are decoded at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparklabel.language_model.attention.kv_cache import cache_tokens
from sparklabel.language_model.decoding.admission import rows_that_fit, rows_to_admit

LENGTHS = st.lists(st.integers(1, 600), max_size=40)
BUDGETS = st.tuples(st.integers(1, 20_000), st.integers(1, 2000))


def admitted(waiting, running, kept_tokens=8192, batch_tokens=1024):
    return rows_to_admit(waiting, running, kept_tokens=kept_tokens, batch_tokens=batch_tokens)


def test_rows_are_admitted_by_the_tokens_they_have():
    assert admitted([20] * 500, [], batch_tokens=100_000) == 128


def test_a_long_row_takes_as_much_room_for_each_beside_it():
    assert admitted([200] + [20] * 500, [], batch_tokens=100_000) == 32


def test_one_pass_reads_no_more_than_its_tokens():
    assert admitted([100] * 50, []) == 10


def test_a_row_that_is_longer_than_every_budget_is_admitted_alone():
    assert admitted([5000] * 3, [], kept_tokens=64, batch_tokens=64) == 1


def test_a_few_rows_wait_until_a_pass_for_them_is_worth_it():
    assert admitted([20] * 50, [20] * 120) == 0
    assert admitted([20] * 50, [20] * 116) == 12


def test_the_last_rows_do_not_wait():
    assert admitted([20] * 2, [20] * 120) == 2


def test_a_full_cache_admits_none():
    assert admitted([20], [20] * 128) == 0


@pytest.mark.parametrize(("width", "rows"), [(64, 12), (65, 6), (768, 1), (10_000, 1)])
def test_the_cache_is_a_rectangle(width, rows):
    assert rows_that_fit(width, 768) == rows


@given(LENGTHS, LENGTHS, BUDGETS)
def test_admitted_rows_fit_into_both_budgets_with_those_that_run(waiting, running, budgets):
    kept, batch = budgets
    waiting = sorted(waiting, reverse=True)
    running = running[: rows_that_fit(max(running), kept)] if running else []
    count = admitted(waiting, running, kept, batch)
    new = waiting[:count]
    assert 0 <= count <= len(waiting)
    assert count or running or not waiting, "something always runs"
    if count > 1:
        assert len(new) * new[0] <= batch
    if count and len(running) + count > 1:
        assert cache_tokens(len(running) + count, max(running + new)) <= kept
