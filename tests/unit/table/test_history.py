"""What the history of a table tells of labels that it has lost, without a table."""

from datetime import datetime

import pytest

from sparklabel.table.history import PassCommit, TableHistory


def commit(version, task="verdict", **facts):
    return PassCommit(version, datetime(2026, 11, 28), 1, {}, {"task": task, "pass_id": "p"} | facts)


def lost(passes, made_anew, brought_back=()):
    history = TableHistory([commit(*one) for one in passes], made_anew, brought_back)
    return [(version, made.version) for version, made in history.lost_versions("verdict")]


def test_labels_are_lost_with_the_first_overwrite_after_a_pass():
    assert lost([(8,), (3,)], [10, 6, 5]) == [(9, 8), (4, 3)]


def test_labels_that_a_restore_brought_back_are_lost_again():
    assert lost([(3,)], [12, 10, 6, 5], brought_back=[8]) == [(9, 3), (4, 3)]


def test_what_was_overwritten_before_the_first_pass_had_no_labels():
    assert lost([(8,)], [7, 2]) == []


def test_passes_of_other_tasks_lose_nothing_of_this_one():
    assert lost([(8, "tone"), (3,)], [9]) == [(8, 3)]


def all_done(version, pinned, **facts):
    return commit(version, all_done=True, version_before=pinned, **facts)


@pytest.mark.parametrize(
    ("passes", "until"),
    [
        ([all_done(5, 3), commit(4)], 5),
        ([all_done(5, 3)], 3),  # another wrote version 4
        ([all_done(5, 3), commit(4, pass_id="q")], 3),
        ([commit(9), all_done(5, 4)], 5),
        ([all_done(9, 8, task="tone"), all_done(5, 4)], 5),
        ([commit(5)], None),
    ],
)
def test_all_rows_are_answered_up_to_what_the_last_whole_pass_pinned_or_wrote_alone(passes, until):
    assert TableHistory(passes).last_all_done({"task": "verdict"}) == until
