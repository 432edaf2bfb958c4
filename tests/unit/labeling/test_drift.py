"""The population stability index, and when it is more than chance."""

import pytest

from sparklabel.labeling.drift import compared


def test_equal_shares_have_no_drift():
    found = compared({"a": 500, "b": 500}, {"a": 50, "b": 50})
    assert found.index == pytest.approx(0, abs=1e-3)
    assert not found.is_major


def test_a_model_that_says_one_thing_to_everything_is_a_major_drift():
    found = compared({"a": 500, "b": 500}, {"a": 100})
    assert found.is_major
    assert "a 50% -> 100%, b 50% -> 0%" in str(found)


def test_the_index_is_that_of_the_definition():
    # (0.6 - 0.5) ln(0.6 / 0.5) + (0.4 - 0.5) ln(0.4 / 0.5), but for half counts
    assert compared({"a": 5000, "b": 5000}, {"a": 6000, "b": 4000}).index == pytest.approx(0.0405, abs=1e-3)


def test_many_labels_and_few_answers_differ_by_chance():
    before, now = {str(i): 20 for i in range(50)}, {str(i): 2 for i in range(0, 50, 2)}
    assert compared(before, now).index > 0.25
    assert not compared(before, {str(i): 1 + i % 2 for i in range(50)}).is_major


def test_a_few_answers_say_nothing():
    assert compared({"a": 49}, {"b": 500}) is None
