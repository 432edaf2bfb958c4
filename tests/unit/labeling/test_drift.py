"""The population stability index, and when it is more than chance."""

import pytest

from sparklabel import classification
from sparklabel.labeling.drift import compared, leaning

PLAIN = classification("verdict", "text", ["fresh", "rotten"])


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


def test_answers_that_are_nearly_all_one_label_are_told_with_what_helps():
    assert leaning({}, {"fresh": 502, "rotten": 10}, PLAIN) == (
        "98% of the first 512 answers are 'fresh'. An untrained model can lean to one label, whatever the texts say: "
        "look at some rows. What helps is prior='content_free' in the task or examples= or finetune on people's answers"
    )


def test_what_a_task_has_already_is_not_recommended():
    shown = classification(
        "verdict", "text", ["fresh", "rotten"], examples=[("red", "fresh")], prior="content_free"
    )
    assert leaning({}, {"fresh": 60}, shown).endswith("What helps is finetune on people's answers")
    listed = classification("verdict", "text", ["fresh", "rotten", "raw"], candidates=2)
    assert "prior" not in leaning({}, {"fresh": 60}, listed)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({}, {"fresh": 49}),
        ({}, {"fresh": 94, "rotten": 6}),
        ({"fresh": 50}, {"fresh": 100}),
        ({}, {}),
    ],
)
def test_few_or_mixed_answers_and_those_with_earlier_ones_beside_them_do_not_lean(before, now):
    assert leaning(before, now, PLAIN) == ""
