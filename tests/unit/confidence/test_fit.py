"""Calibrators fitted to answers that people judged."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparklabel import entities, extraction, multilabel
from sparklabel.confidence.calibrators import Isotonic, Platt, Temperature, WithFields
from sparklabel.confidence.fit import JudgedAnswer, confidences, field_confidences, fit_calibrator
from sparklabel.errors import AnswersError
from sparklabel.labels.record import FieldConfidence


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


def test_fields_get_a_calibrator_of_their_own_and_their_own_share_of_right_ones():
    random = np.random.default_rng(0)
    judged = [
        JudgedAnswer(p, (1 - p,), i % 10 == 0, ((p, i % 2), (p, 1)))
        for i, p in enumerate(random.uniform(0.8, 0.98, 300).tolist())
    ]
    fitted = fit_calibrator(judged, choices=False)
    assert isinstance(fitted, WithFields)
    assert fitted.confidence(0.9, [0.1]) == pytest.approx(0.1, abs=0.05)
    assert field_confidences(fitted, judged) == pytest.approx(np.full(600, 0.75), abs=0.05)


@pytest.mark.parametrize("fields", [(), ((0.5, 1.0),)])
def test_without_fields_that_are_right_and_wrong_only_answers_are_calibrated(fields):
    judged = [JudgedAnswer(0.5 + i / 200, (), i % 2, fields) for i in range(90)]
    assert isinstance(fit_calibrator(judged, choices=False), Platt)


def test_the_fields_of_an_answer_are_judged_in_their_order():
    mode = extraction("order", "text", {"city": "string", "rooms": "integer"}).answer_mode
    fields = [FieldConfidence("city", 0.9, 0.4), FieldConfidence("rooms", 0.3)]
    judged = JudgedAnswer.of(
        mode, {"city": "Bonn", "rooms": 2}, {"city": "Bonn", "rooms": 3}, 0.5, None, fields
    )
    assert (judged.agreement, judged.fields) == (0.5, ((0.4, 1.0), (0.3, 0.0)))


def test_each_label_of_a_list_is_judged_by_itself():
    mode = multilabel("topics", "text", ["a", "b", "c"]).answer_mode
    fields = [FieldConfidence(name, 0.9) for name in "abc"]
    judged = JudgedAnswer.of(mode, ["a", "c"], ["a", "b"], 0.5, None, fields)
    assert (judged.agreement, judged.fields) == (0.5, ((0.9, 1.0), (0.9, 0.0), (0.9, 0.0)))


def test_confidences_of_types_which_earlier_releases_wrote_are_not_taken_for_those_of_entities():
    mode = entities("names", "text", ["org"]).answer_mode
    value = [
        {"text": "A", "type": "org", "start": 0, "end": 1},
        {"text": "B", "type": "org", "start": 2, "end": 3},
    ]
    assert JudgedAnswer.of(mode, value, value, 0.5, None, [FieldConfidence("org", 0.9)]).fields == ()


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
