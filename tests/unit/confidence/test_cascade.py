"""The lowest confidence from which a model's answers stand beside a second model's."""

import numpy as np
import pytest

from sparklabel.confidence.cascade import lowest_threshold

N = 1000


def judged(right_from, fallback_accuracy=0.9):
    """Confidences from 0 to 1, of a model that is right from `right_from` on, and how right a second one is."""
    confidence = np.random.default_rng(0).permutation(np.linspace(0, 1, N))
    fallback = np.random.default_rng(1).random(N) < fallback_accuracy
    return confidence, (confidence >= right_from).astype(float), fallback.astype(float)


def test_answers_stand_as_far_down_as_they_are_right():
    found = lowest_threshold(*judged(0.6, 1.0))
    assert 0.58 < found.below < 0.6, "one point of all answers may be lost"
    assert found.accuracy + 0.01 >= found.fallback_accuracy == 1.0
    assert found.share == pytest.approx(1 - found.below, abs=0.002)
    assert found.judged == N


def test_no_loss_among_few_answers_is_not_enough():
    """It says nothing of what one answer in a hundred may cost."""
    confidence, right, fallback = judged(0.0, 1.0)
    few, many = slice(0, 200), slice(0, 400)
    assert lowest_threshold(confidence[few], right[few], fallback[few]) is None
    assert lowest_threshold(confidence[many], right[many], fallback[many]).share == pytest.approx(1, abs=0.01)


def test_a_threshold_is_a_thousandth_rounded_up():
    assert lowest_threshold(np.full(N, 0.12341), np.ones(N), np.ones(N)).below == 0.124
    assert lowest_threshold(np.full(N, 0.99999), np.ones(N), np.ones(N)).below == 1.0


def test_where_even_the_surest_answers_are_worse_none_stands():
    confidence = np.full(N, 0.9)
    assert lowest_threshold(confidence, np.zeros(N), np.ones(N)) is None


def test_answers_of_one_confidence_stand_together():
    confidence = np.repeat([0.9, 0.5], N // 2)
    found = lowest_threshold(confidence, confidence > 0.6, np.ones(N))
    assert (found.below, found.share) == (0.9, 0.5)


def test_an_answer_without_a_confidence_never_stands():
    confidence, right, fallback = judged(0.0, 1.0)
    confidence[: N // 2] = np.nan
    assert lowest_threshold(confidence, right, fallback).share == pytest.approx(0.5, abs=0.002)
    assert lowest_threshold(np.full(N, np.nan), right, fallback) is None


def test_a_threshold_further_down_cannot_pass_by_chance():
    """Two thirds down the first model is right again: what lies between has failed already."""
    confidence, right, fallback = judged(0.7, 0.5)
    right[confidence < 0.3] = 1.0
    right[(confidence >= 0.3) & (confidence < 0.7)] = 0.0
    assert lowest_threshold(confidence, right, fallback).below > 0.3
