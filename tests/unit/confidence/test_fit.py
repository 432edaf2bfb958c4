"""Calibrators fitted to answers that people judged."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparklabel.confidence.calibrators import Isotonic, Temperature
from sparklabel.confidence.fit import JudgedAnswer, confidences, fit_calibrator
from sparklabel.errors import AnswersError


def overconfident(n, temperature=3.0, seed=0):
    """Answers that are right as often as their probability says at `temperature`, and claim more."""
    random = np.random.default_rng(seed)
    logits = random.normal(1, 2, n)
    raw, true = (1 / (1 + np.exp(-logits * scale)) for scale in (temperature, 1.0))
    return [
        JudgedAnswer(float(p), (float(1 - p),), bool(random.random() < t))
        for p, t in zip(raw, true, strict=True)
    ]


def test_the_temperature_that_made_answers_overconfident_is_found():
    fitted = fit_calibrator(overconfident(900), choices=True)
    assert isinstance(fitted, Temperature)
    assert fitted.temperature == pytest.approx(3.0, rel=0.2)


def test_written_answers_that_are_wrong_although_they_seem_sure_fall_below_a_half():
    random = np.random.default_rng(0)
    judged = [
        JudgedAnswer(p, (1 - p,), i % 3 == 0) for i, p in enumerate(random.uniform(0.8, 0.98, 300).tolist())
    ]
    fitted = fit_calibrator(judged, choices=False)
    assert fitted.confidence(0.9, [0.1]) == pytest.approx(1 / 3, abs=0.05)


@pytest.mark.parametrize(("answers", "choices"), [(300, True), (300, False), (2000, True)])
def test_lists_that_are_half_right_get_a_half(answers, choices):
    random = np.random.default_rng(0)
    judged = [
        JudgedAnswer(p, (1 - p,), agreement)
        for p, agreement in zip(random.uniform(0.8, 0.98, answers).tolist(), [0.5] * answers, strict=True)
    ]
    fitted = fit_calibrator(judged, choices=choices)
    assert fitted.confidence(0.9, [0.1]) == pytest.approx(0.5, abs=0.04)


def test_from_a_thousand_answers_on_the_shape_is_learned():
    judged = overconfident(4000)
    fitted = fit_calibrator(judged, choices=True)
    assert isinstance(fitted, Isotonic)
    sure = [one for one in judged if one.raw > 0.99]
    found = np.mean([fitted.confidence(one.raw, one.others) for one in sure])
    assert found == pytest.approx(np.mean([one.agreement for one in sure]), abs=0.02)


@pytest.mark.parametrize("judged", [overconfident(40), [JudgedAnswer(0.9, (0.1,), True)] * 200])
def test_too_little_to_calibrate_with_is_said(judged):
    with pytest.raises(AnswersError, match="not enough to calibrate with"):
        fit_calibrator(judged, choices=True)


def spread(n, temperature, seed, others):
    """Overconfident answers among `others` more choices."""
    random = np.random.default_rng(seed)
    return [
        JudgedAnswer(
            one.raw, tuple((random.dirichlet(np.ones(others)) * (1 - one.raw)).tolist()), one.agreement
        )
        for one in overconfident(n, temperature, seed)
    ]


def loss(temperature, judged):
    """The mean negative log-likelihood of what was correct."""
    p = np.clip(confidences(Temperature(temperature), judged), 1e-9, 1 - 1e-9)
    return -np.log(np.where([one.agreement for one in judged], p, 1 - p)).mean()


@pytest.mark.parametrize(
    ("n", "made_with", "seed", "others", "grid"),
    [(900, 3.0, 0, 1, 3.0153), (300, 0.5, 1, 1, 0.4755), (60, 1.0, 2, 5, 1.1708), (500, 8.0, 3, 2, 7.0966)],
)
def test_the_temperature_is_near_the_best_of_a_grid(n, made_with, seed, others, grid):
    """The first release took the best of 400 temperatures, each 1.5% above the last."""
    judged = spread(n, made_with, seed, others)
    found = fit_calibrator(judged, choices=True).temperature
    assert found == pytest.approx(grid, rel=0.016)
    assert loss(found, judged) <= loss(grid, judged) + 1e-9


@settings(deadline=None, max_examples=15)
@given(st.floats(0.2, 10), st.integers(0, 1000), st.integers(1, 6))
def test_no_temperature_of_a_grid_is_better(made_with, seed, others):
    judged = spread(80, made_with, seed, others)
    if not all(one.agreement for one in judged):
        found = fit_calibrator(judged, choices=True).temperature
        grid = np.exp(np.linspace(math.log(0.05), math.log(20), 60))
        assert loss(found, judged) <= min(loss(float(t), judged) for t in grid) + 1e-6
