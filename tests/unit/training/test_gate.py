"""The promotion gate: verdicts, and the interval behind them."""

import math
import tracemalloc

import numpy as np
import pytest

from sparklabel.training.gate import judge


def answers(right, wrong):
    return [True] * right + [False] * wrong


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
    rounds = [judge(random.uniform(size=150) < 0.8, random.uniform(size=150) < 0.8) for _ in range(100)]
    assert sum(r.verdict == "promoted" for r in rounds) <= 5  # 2.5% of 100 is 2.5


@pytest.mark.parametrize(
    ("n", "new", "old", "lower", "upper"),
    [(120, 96, 60, 0.2167, 0.3833), (120, 63, 60, 0.0, 0.0583), (150, 75, 90, -0.1533, -0.0533),
     (400, 300, 290, 0.01, 0.0425), (2, 1, 0, 0.0, 1.0), (1, 1, 0, 1.0, 1.0)],
)  # fmt: skip
def test_the_interval_is_that_of_the_first_release(n, new, old, lower, upper):
    """It drew how often each gain occurs, from a multinomial distribution, which is the same bootstrap."""
    result = judge(answers(new, n - new), answers(old, n - old))
    assert (result.lower95, result.upper95) == pytest.approx((lower, upper), abs=0.0051)


def test_the_two_models_may_change_places():
    ours, theirs = answers(66, 60), answers(60, 66)[::-1]
    there, back = judge(ours, theirs), judge(theirs, ours)
    assert (back.lower95, back.upper95) == pytest.approx((-there.upper95, -there.lower95))


def test_ten_thousand_answers_are_resampled_in_batches():
    """All at once, 10,000 draws of 10,000 rows would take 800 MB."""
    ours, theirs = answers(6000, 4000), answers(4000, 6000)
    judge(ours[:100], theirs[:100])  # scipy is imported outside of what is measured
    tracemalloc.start()
    judge(ours, theirs)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60e6


def test_the_smallest_number_of_answers_is_enough():
    assert judge(answers(100, 0), answers(0, 100)).verdict == "promoted"
    assert judge(answers(99, 0), answers(0, 99)).verdict == "inconclusive"
    assert judge(answers(10, 0), answers(0, 10), minimum=10).verdict == "promoted"


def test_a_loss_that_may_be_chance_is_inconclusive():
    result = judge(answers(60, 60), answers(63, 57))
    assert (result.verdict, result.upper95) == ("inconclusive", 0.0)


def test_the_reason_gives_the_gain_and_its_interval_in_points():
    result = judge(answers(120, 0), answers(0, 120))
    assert result.reason == (
        "Better: +100.0 points against the champion on 120 held-out answers (95% interval +100.0 to +100.0)."
    )


def test_both_models_are_judged_on_the_same_answers():
    with pytest.raises(ValueError, match="argument 2"):
        judge(answers(60, 60), answers(60, 59))


def test_the_share_that_is_held_out_says_how_many_more_answers_are_needed():
    found = judge([], [], minimum=7, share=0.5).reason
    assert found.startswith(
        "Only 0 held-out answers: 7 more are needed, which takes about 14 more human answers"
    )
    assert "because 50% of them are held out" in found
