"""Whether confidence can be trusted: AUROC, calibration error and its 95% interval.

In: confidences in [0, 1], and whether each answer was correct, or how right it was, as parallel arrays; what the
answers were is not known here. Out: numbers.
"""

import numpy as np
from numpy.typing import NDArray

from sparklabel.intervals import Interval

_Bools = NDArray[np.bool_]
_Floats = NDArray[np.float64]

_BINS = 15
_DRAWS_PER_BATCH = 1_000_000
"""Rows drawn at a time by the bootstrap, which bounds its memory."""


def confidence_auroc(confidence: _Floats, correct: _Bools) -> float | None:
    """The probability that a correct answer has a higher confidence than a wrong one; ties count half.

    None if all answers are correct or all are wrong: there is nothing to rank.
    """
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(correct, confidence)) if correct.any() and not correct.all() else None


def calibration_error(confidence: _Floats, right: _Floats) -> float | None:
    """Expected calibration error: |confidence - accuracy| per bin, weighted by rows. None without rows. `right` [N] is
    how right each answer was, in [0, 1].

    15 bins of equal width (Guo et al. 2017, arXiv:1706.04599; the measure is from Naeini et al. 2015), so that it is
    comparable with published figures and equal confidences always share a bin. With few rows it is biased upward.
    """
    if not len(confidence):
        return None
    return float(_binned_errors(_bins(confidence)[None], (confidence - right)[None])[0])


def calibration_interval(confidence: _Floats, right: _Floats, seed: int = 0) -> Interval | None:
    """95% bootstrap interval of `calibration_error` (rows resampled, bins fixed); None without rows.

    The measure cannot go below 0, so resampling biases it upward, and a percentile interval misses the truth of a
    well-calibrated model (0 of 300 simulations covered it). The low end is therefore the basic bootstrap's,
    2 * error - upper; the high end is the percentile's. In simulations with 500 and 1,000 rows it covered at least 94%
    at errors of 0.03 to 0.16, and 76% to 80% at an error of exactly 0.
    """
    error = calibration_error(confidence, right)
    if error is None:
        return None
    upper = max(error, _upper_error(confidence, right, seed)) if len(confidence) > 1 else error
    return max(0.0, 2 * error - upper), min(1.0, upper)


def _upper_error(confidence: _Floats, right: _Floats, seed: int) -> float:
    """The 97.5th percentile of the calibration error over 1,000 resamples of at least two rows; down to 200 resamples
    where rows are many and noise is small."""
    from scipy.stats import bootstrap

    n = len(confidence)
    resampled = bootstrap(
        (_bins(confidence), confidence - right),
        _binned_errors,
        paired=True,
        vectorized=True,
        n_resamples=max(200, min(1000, 20_000_000 // n)),
        batch=max(1, _DRAWS_PER_BATCH // n),
        confidence_level=0.95,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(resampled.confidence_interval.high)


def _binned_errors(bins: NDArray[np.int64], gaps: _Floats, axis: int = -1) -> _Floats:
    """[R] calibration errors of R samples of N rows: their bins [R, N], and confidence minus how right [R, N]."""
    samples, n = gaps.shape
    cells = bins + _BINS * np.arange(samples)[:, None]
    sums = np.bincount(cells.ravel(), gaps.ravel(), minlength=_BINS * samples)
    return np.abs(sums.reshape(samples, _BINS)).sum(axis=axis) / n


def _bins(confidence: _Floats) -> NDArray[np.int64]:
    return np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
