"""Calibrators: their confidence, how they are stored, and what a labeler does with them."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparklabel import classification, extraction, rating
from sparklabel.confidence.calibrators import (
    Isotonic,
    Platt,
    Temperature,
    WithFields,
    calibrated_fields,
    calibrator_from_json,
    other_probabilities,
)
from sparklabel.engines.fake import FakeEngine
from sparklabel.labeler import Labeler
from sparklabel.labels.record import Alternative, FieldConfidence

TASK = classification("tone", "text", ["calm", "angry"])
ROWS = [[f"row {n}"] for n in range(20)]


def test_a_steep_calibrator_makes_nothing_of_an_unsure_answer():
    assert Platt(91.4, 0.0).confidence(1e-6, []) == pytest.approx(0, abs=1e-300)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5), st.floats(0.05, 20))
def test_a_temperature_gives_probabilities_and_keeps_their_order(numbers, temperature):
    calibrator = Temperature(temperature)
    found = [calibrator.confidence(p, other_probabilities(p, None)) for p in sorted(numbers)]
    assert all(0 <= p <= 1 for p in found)
    assert found == sorted(found)


def test_a_temperature_of_one_changes_nothing():
    alternatives = [Alternative("a", 0.5), Alternative("b", 0.3)]
    assert Temperature(1.0).confidence(0.5, other_probabilities(0.5, alternatives)) == pytest.approx(0.5)


def test_what_the_alternatives_leave_over_counts_as_one_more():
    assert other_probabilities(0.5, [Alternative("a", 0.5), Alternative("b", 0.3)]) == pytest.approx(
        [0.3, 0.2]
    )


def test_a_value_that_is_no_alternative_stands_against_all_else():
    assert other_probabilities(0.75, [Alternative(4, 0.5), Alternative(3, 0.25)]) == [0.25]


@given(st.floats(0, 1))
def test_isotonic_regression_agrees_with_the_line_by_hand(raw):
    places, confidences = (0.1, 0.4, 0.45, 0.9), (0.05, 0.3, 0.8, 0.85)
    expected = confidences[0] if raw < places[0] else confidences[-1]
    for i in range(3):
        if places[i] <= raw <= places[i + 1]:
            share = (raw - places[i]) / (places[i + 1] - places[i])
            expected = confidences[i] + share * (confidences[i + 1] - confidences[i])
    assert Isotonic(places, confidences).confidence(raw, []) == pytest.approx(expected)


def test_between_points_isotonic_is_a_line_and_flat_beyond():
    calibrator = Isotonic((0.2, 0.4), (0.1, 0.5))
    assert [calibrator.confidence(p, []) for p in (0.0, 0.2, 0.3, 0.4, 1.0)] == pytest.approx(
        [0.1, 0.1, 0.3, 0.5, 0.5]
    )


@pytest.mark.parametrize(
    "calibrator",
    [
        Temperature(1.7),
        Isotonic((0.2, 0.4), (0.1, 0.5)),
        Platt(0.5, -1.2),
        WithFields(Platt(1.0, 0.5), Platt(0.5, -1.2)),
    ],
)
def test_a_calibrator_comes_back_from_json(calibrator):
    assert calibrator_from_json(json.dumps(calibrator.to_dict())) == calibrator


@pytest.mark.parametrize("fields", [{"method": "magic"}, {"method": "platt", "slope": 1, "intercept": 0, "fields": {
    "method": "temperature", "temperature": 2}}])  # fmt: skip
def test_an_unknown_calibrator_is_refused(fields):
    with pytest.raises(ValueError, match="is not a calibrator"):
        calibrator_from_json(json.dumps(fields))


def test_fields_are_calibrated_from_the_models_own_probability_however_often():
    calibrator = WithFields(Temperature(2.0), Platt(1.0, 1.0))
    once = calibrated_fields(calibrator, [FieldConfidence("org", 0.5)])
    assert once == (FieldConfidence("org", pytest.approx(1 / (1 + math.exp(-1))), 0.5),)
    assert calibrated_fields(calibrator, once) == once


@pytest.mark.parametrize("calibrator", [None, Platt(1.0, 1.0)])
def test_fields_that_nothing_was_fitted_to_keep_the_models_own_probability(calibrator):
    assert calibrated_fields(calibrator, [FieldConfidence("org", 0.5, 0.5)]) == (
        FieldConfidence("org", 0.5, 0.5),
    )


def test_a_labeler_calibrates_the_fields_of_what_was_written():
    task = extraction("order", "text", {"city": "string"})
    calibrator = WithFields(Platt(1.0, 0.0), Platt(0.0, 0.0))
    (label,) = Labeler(task, FakeEngine(), model="fake", calibrator=calibrator).label([["to Bonn"]])
    (field,) = label.field_confidence
    assert (field.confidence, field.raw_confidence) == (0.5, label.raw_confidence)


def test_a_calibrator_changes_the_confidence_and_nothing_else():
    plain = Labeler(TASK, FakeEngine(), model="fake").label(ROWS)
    calibrated = Labeler(TASK, FakeEngine(), model="fake", calibrator=Temperature(4.0)).label(ROWS)
    assert [(a.value, a.raw_confidence) for a in plain] == [(b.value, b.raw_confidence) for b in calibrated]
    assert all(0.5 < b.confidence < a.confidence for a, b in zip(plain, calibrated, strict=True))


def test_an_answer_that_is_not_trusted_is_withheld_with_its_guess():
    (label,) = Labeler(TASK, FakeEngine(), model="fake", min_confidence=0.9).label(
        [["no word of the labels"]]
    )
    assert (label.value, label.status) == (None, "uncertain")
    assert label.alternatives[0].value in ("calm", "angry")
    assert "is below 0.9" in label.error


def test_a_withheld_rating_keeps_its_own_number_as_the_guess():
    task = rating("stars", "text", (1, 5))
    given = Labeler(task, FakeEngine(), model="fake").label([["no number"]])[0]
    abstain_below = Labeler(task, FakeEngine(), model="fake", min_confidence=1.0).label([["no number"]])[0]
    assert abstain_below.alternatives[0] == Alternative(given.value, given.raw_confidence)
    assert len(abstain_below.alternatives) == 5


def test_an_answer_that_is_trusted_is_given():
    (label,) = Labeler(TASK, FakeEngine(), model="fake", min_confidence=0.9).label([["so angry"]])
    assert (label.value, label.status) == ("angry", "ok")
