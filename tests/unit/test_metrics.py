import time

import numpy as np
import pytest

from sparklabel.errors import AnswersError
from sparklabel.evaluation.metrics import (
    calibration_error,
    calibration_interval,
    classification_metrics,
    confidence_auroc,
    wilson_interval,
)

LABELS = ["bad", "good", "odd"]


def metrics(rows, labels=LABELS):
    """Rows of (gold, predicted, confidence, status)."""
    return classification_metrics(*zip(*rows, strict=True), labels=labels)


def test_a_failed_row_counts_as_wrong_and_not_among_the_completed():
    found = metrics([("good", "good", 0.9, "ok"), ("bad", None, None, "engine_error")])
    assert (found.n, found.completed, found.completion_rate) == (2, 1, 0.5)
    assert (found.accuracy, found.accuracy_completed) == (0.5, 1.0)


def test_the_status_decides_even_when_a_failed_row_has_a_value():
    assert metrics([("good", "good", 0.9, "timeout"), ("bad", "bad", 0.9, "ok")]).accuracy == 0.5


def test_a_truncated_row_is_completed():
    assert metrics([("good", "good", 0.9, "truncated")]).accuracy == 1.0


def test_when_every_row_failed_there_is_nothing_to_rank():
    found = metrics([("good", None, None, "too_long")] * 3)
    assert (found.accuracy, found.macro_f1) == (0.0, 0.0)
    assert (found.accuracy_completed, found.confidence_auroc, found.ece, found.ece_interval) == (None,) * 4


def test_macro_f1_is_over_the_labels_that_occur_in_gold():
    rows = [("good", "good", 0.9, "ok"), ("good", "odd", 0.6, "ok"), ("bad", "bad", 0.8, "ok")]
    assert metrics(rows).macro_f1 == pytest.approx((1.0 + 2 / 3) / 2)  # "odd" was only predicted


def test_a_failed_row_lowers_its_labels_recall():
    found = metrics([("good", "good", 0.9, "ok"), ("good", None, None, "timeout"), ("bad", "bad", 0.8, "ok")])
    assert [(s.label, s.support, s.precision, s.recall) for s in found.labels] == [
        ("bad", 1, 1.0, 1.0),
        ("good", 2, 1.0, 0.5),
    ]


def test_a_gold_value_outside_the_task_is_wrong_and_not_in_the_f1():
    found = metrics([("good", "good", 0.9, "ok"), ("new", "bad", 0.9, "ok")])
    assert (found.accuracy, found.macro_f1) == (0.5, 1.0)


def test_the_majority_class_is_what_one_answer_to_all_would_give():
    found = metrics([("bad", "bad", 0.5, "ok")] * 2 + [("good", "bad", 0.5, "ok")] * 3)
    assert (found.majority_label, found.majority_accuracy) == ("good", 0.6)


def test_auroc_counts_ties_half_and_is_none_without_two_kinds():
    right = np.array([True, True, False])
    assert confidence_auroc(np.array([0.9, 0.5, 0.5]), right) == pytest.approx(0.75)
    assert confidence_auroc(np.array([0.9, 0.5]), np.array([True, True])) is None


def test_calibration_error_is_the_gap_weighed_by_rows():
    confidence = np.array([0.95, 0.95, 0.55, 0.55])
    right = np.array([True, False, True, True])
    assert calibration_error(confidence, right) == pytest.approx((2 * 0.45 + 2 * 0.45) / 4)


def test_a_confidence_of_one_is_in_the_last_bin():
    assert calibration_error(np.array([1.0, 0.99]), np.array([True, True])) == pytest.approx(0.005)


def test_the_calibration_interval_is_repeatable_and_holds_the_error():
    random = np.random.default_rng(1)
    confidence = random.uniform(0.5, 1.0, 800)
    right = random.uniform(size=800) < confidence - 0.1
    low, high = calibration_interval(confidence, right)
    assert low < calibration_error(confidence, right) < high
    assert low < 0.1 < high
    assert (low, high) == calibration_interval(confidence, right)


def test_five_thousand_rows_are_resampled_in_a_moment():
    confidence = np.linspace(0.3, 1.0, 5000)
    started = time.process_time()
    calibration_interval(confidence, confidence > 0.6)
    assert time.process_time() - started < 1.0  # 0.07 s where this was written


@pytest.mark.parametrize(("right", "n", "low", "high"), [(0, 10, 0.0, 0.2775), (82, 100, 0.7333, 0.8830)])
def test_the_wilson_interval_is_the_published_one(right, n, low, high):
    assert wilson_interval(right, n) == pytest.approx((low, high), abs=1e-4)


def test_figures_leave_out_what_is_none():
    figures = metrics([("good", "good", 0.9, "ok")]).figures()
    assert figures["accuracy"] == 1.0
    assert "confidence_auroc" not in figures


def test_no_rows_are_refused():
    with pytest.raises(AnswersError, match="no row has a gold value"):
        classification_metrics([], [], [], [], labels=LABELS)
