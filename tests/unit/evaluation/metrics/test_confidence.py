"""Whether confidence can be trusted, and how certain a share is."""

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparklabel.evaluation.metrics.confidence import (
    calibration_error,
    calibration_interval,
    confidence_auroc,
)
from sparklabel.intervals import wilson_interval


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
    assert time.process_time() - started < 1.0  # 0.09 s where this was written


@pytest.mark.parametrize(("right", "n", "low", "high"), [(0, 10, 0.0, 0.2775), (82, 100, 0.7333, 0.8830)])
def test_the_wilson_interval_is_the_published_one(right, n, low, high):
    assert wilson_interval(right, n) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_wilson_interval_is_the_root_of_the_score_test(counts):
    right, n = counts
    share, z2 = right / n, 1.959963984540054**2
    low, high = wilson_interval(right, n)
    assert 0 <= low <= share <= high <= 1
    for end in (low, high):
        assert (share - end) ** 2 == pytest.approx(z2 * end * (1 - end) / n, abs=1e-9)


def test_the_interval_of_a_single_row_is_its_error():
    assert calibration_interval(np.array([0.75]), np.array([True])) == (0.25, 0.25)


@pytest.mark.parametrize(("rows", "interval"), [(2, (0.0247682, 0.2440892)), (30, (0.0, 0.3798709)),
                                                (800, (0.0802733, 0.1499654))])  # fmt: skip
def test_the_calibration_interval_is_the_one_of_the_first_release(rows, interval):
    random = np.random.default_rng(1)
    confidence = random.uniform(0.5, 1, 800)
    right = random.uniform(size=800) < confidence - 0.1
    assert calibration_interval(confidence[:rows], right[:rows]) == pytest.approx(interval, abs=1e-6)


def test_a_calibration_error_is_resampled_in_batches():
    """100,000 rows are drawn 200 times: all at once they would take 160 MB for the draws alone."""
    confidence = np.linspace(0.3, 1.0, 100_000)
    tracemalloc.start()
    calibration_interval(confidence, confidence > 0.6)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 120e6
