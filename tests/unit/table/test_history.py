"""What the history of a table tells of labels that it has lost, without a table."""

from datetime import datetime

import pytest

from sparklabel.table.history import ANSWERS, PassCommit, TableHistory, last_rate


def commit(version, task="verdict", rows=1, **facts):
    return PassCommit(version, datetime(2026, 11, 28), rows, {}, {"task": task, "pass_id": "p"} | facts)


def lost(passes, replaced, restored=()):
    history = TableHistory([commit(*one) for one in passes], replaced, restored)
    return [(version, made.version) for version, made in history.lost_versions("verdict")]


def test_labels_are_lost_with_the_first_overwrite_after_a_pass():
    assert lost([(8,), (3,)], [10, 6, 5]) == [(9, 8), (4, 3)]


def test_labels_that_a_restore_gave_back_are_lost_again():
    assert lost([(3,)], [12, 10, 6, 5], restored=[8]) == [(9, 3), (4, 3)]


def test_labels_can_be_lost_with_a_restore():
    assert lost([(3,)], [12, 10], restored=[12, 10]) == [(11, 3), (9, 3)]


def test_what_was_overwritten_before_the_first_pass_had_no_labels():
    assert lost([(8,)], [7, 2]) == []


def test_passes_of_other_tasks_lose_nothing_of_this_one():
    assert lost([(8, "tone"), (3,)], [9]) == [(8, 3)]


def answers(version, pinned, rows=1, pending=1, **facts):
    return commit(version, rows=rows, step=ANSWERS, pending_answered=pending, version_before=pinned, **facts)


@pytest.mark.parametrize(
    ("passes", "done"),
    [
        ([answers(5, 3)], 3),
        ([commit(9), answers(5, 3)], 3),
        ([answers(5, 3, rows=2, pending=3), commit(4, step=ANSWERS)], 3),
        ([answers(9, 8, task="tone", pass_id="q"), answers(5, 3)], 3),
        ([commit(5, step=ANSWERS)], None),
    ],
)
def test_no_row_is_pending_of_the_version_that_the_last_whole_pass_pinned(passes, done):
    assert TableHistory(passes).last_done({"task": "verdict"}) == done


def test_the_rate_of_a_pass_over_few_rows_is_not_that_of_many():
    rates = [("small", None), ("m", 1.7), ("m", None), ("m", 902.0), ("other", 5000.0)]
    history = TableHistory([commit(9 - n, model=m, inputs_per_second=r) for n, (m, r) in enumerate(rates)])
    assert last_rate(history, "verdict", "m") == 902.0
    assert last_rate(history, "verdict", "small") is None


@pytest.mark.parametrize("rows", [2, 4, None])
def test_a_pass_that_wrote_another_number_of_rows_left_some_pending(rows):
    assert TableHistory([answers(5, 3, rows=rows, pending=3)]).last_done({"task": "verdict"}) is None
