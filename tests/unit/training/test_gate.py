import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparklabel.splits import is_held_out
from sparklabel.training.gate import judge


def answers(right, wrong):
    return [True] * right + [False] * wrong


def test_held_out_membership_never_changes():
    # These are stored facts: were they to change, rows that trained an old model would judge a new one.
    held_out = [n for n in range(20) if is_held_out([f"row {n}"])]
    assert held_out == [2, 4, 9, 15, 16, 18]


def test_about_the_share_asked_for_is_held_out():
    rows = range(5000)
    assert np.mean([is_held_out([f"row {n}"]) for n in rows]) == pytest.approx(0.2, abs=0.02)
    assert np.mean([is_held_out([f"row {n}"], share=0.5) for n in rows]) == pytest.approx(0.5, abs=0.02)


def test_a_larger_share_keeps_what_a_smaller_one_held_out():
    assert all(is_held_out([f"row {n}"], share=0.4) for n in range(500) if is_held_out([f"row {n}"]))


@pytest.mark.parametrize(
    "twin", ["  The FILM\tis fine ", "the ﬁlm is fine", "the film\n\nis\u00a0fine", "the \uff46ilm is fine"]
)
def test_equal_text_in_another_dress_is_on_the_same_side(twin):
    for number in range(50):
        assert is_held_out([f"the film is fine {number}"]) == is_held_out([f"{twin} {number}"])


def test_the_borders_between_inputs_count():
    def membership(make):
        return [is_held_out(make(f"text {n}"), share=0.5) for n in range(64)]

    sides = [
        membership(lambda t: [f"{t}a", "b"]),
        membership(lambda t: [t, "ab"]),
        membership(lambda t: [t, ""]),
        membership(lambda t: [t]),
    ]
    assert len({tuple(side) for side in sides}) == len(sides)


def test_null_is_on_the_side_of_a_blank_text():
    assert all(is_held_out([f"text {n}", None]) == is_held_out([f"text {n}", " "]) for n in range(50))


@given(st.text(st.characters(exclude_categories=[])), st.text(" \t\n\u00a0"))
def test_any_text_has_a_side_whatever_its_blanks(text, blanks):
    # Half a surrogate pair and NUL too: no text may fail a training.
    assert is_held_out([blanks + text, None]) == is_held_out([text + blanks, None])


def test_texts_that_are_not_letters_are_held_out_as_often():
    odd = [is_held_out([f"\ud800{chr(n)}\x00{n}", None]) for n in range(5000)]
    assert np.mean(odd) == pytest.approx(0.2, abs=0.02)


def test_a_clear_gain_is_promoted():
    result = judge(answers(96, 24), answers(60, 60))
    assert result.verdict == "promoted"
    assert result.gain == pytest.approx(0.3)
    assert 0 < result.lower95 < result.gain < result.upper95
    assert "+30.0 points against the champion on 120 held-out answers" in result.reason


def test_a_clear_loss_is_rejected_and_names_the_baseline():
    result = judge(answers(60, 60), answers(96, 24), baseline="the base model")
    assert result.verdict == "rejected"
    assert "-30.0 points against the base model" in result.reason


def test_a_gain_that_may_be_chance_is_inconclusive():
    result = judge(answers(63, 57), answers(60, 60))
    assert (result.verdict, result.lower95) == ("inconclusive", 0.0)  # three rows gained, none lost
    assert "chance" in result.reason


def test_rows_are_compared_in_pairs():
    # The same two accuracies: with few rows that differ the gain is certain, with many it is not.
    few = judge(answers(70, 50), answers(60, 60))
    many = judge(answers(70, 50), answers(60, 60)[::-1])
    assert few.gain == many.gain
    assert (few.verdict, many.verdict) == ("promoted", "inconclusive")


def test_too_few_answers_say_how_many_are_missing():
    result = judge(answers(80, 0), answers(0, 80))
    assert result.verdict == "inconclusive"
    assert "20 more are needed, which takes about 100 more human answers" in result.reason


def test_no_answers_at_all_are_inconclusive():
    result = judge([], [])
    assert (result.n, result.verdict) == (0, "inconclusive")
    assert math.isnan(result.gain)


def test_an_engine_that_failed_on_the_champion_promotes_nobody():
    result = judge(answers(120, 0), [*answers(0, 119), None])
    assert (result.n, result.verdict) == (119, "inconclusive")
    assert "failed on 1 of 120 held-out answers" in result.reason


def test_an_engine_that_failed_on_every_row_leaves_nothing_to_judge():
    assert judge([None] * 150, answers(75, 75)).n == 0


def test_a_verdict_is_repeatable():
    assert judge(answers(66, 60), answers(60, 66)) == judge(answers(66, 60), answers(60, 66))


def test_a_model_that_is_no_better_is_seldom_promoted():
    random = np.random.default_rng(7)
    rounds = [judge(random.uniform(size=150) < 0.8, random.uniform(size=150) < 0.8) for _ in range(400)]
    assert sum(r.verdict == "promoted" for r in rounds) <= 20  # 2.5% of 400 is 10
