"""Whether confidence can be trusted, and how sure a share is: AUROC, calibration error, 95% intervals.

In: confidences in [0, 1] and whether each answer was right, as parallel arrays; nothing here knows what the answers
were. Out: numbers.
"""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]
_Bools = NDArray[np.bool_]
_Floats = NDArray[np.float64]

_Z95 = 1.959964  # two-sided 95% of the normal distribution
_BINS = 15


def confidence_auroc(confidence: _Floats, right: _Bools) -> float | None:
    """The probability that a right answer has more confidence than a wrong one (ties count half).

    None where all answers are right, or none is: there is nothing to rank.
    """
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(right, confidence)) if right.any() and not right.all() else None


def wilson_interval(successes: int, n: int) -> Interval:
    """95% interval of a share, by the score test: Wilson 1927, doi:10.1080/01621459.1927.10502953."""
    share, z2 = successes / n, _Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 / (1 + z2 / n) * sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def calibration_error(confidence: _Floats, right: _Bools) -> float | None:
    """Expected calibration error: |confidence - accuracy| by bin, weighed by rows. None without rows.

    15 bins of equal width (Guo et al. 2017, arXiv:1706.04599; the measure is Naeini et al. 2015): comparable
    with what is published, and equal confidences are never split between bins. With few rows it is biased
    upward.
    """
    if not len(confidence):
        return None
    gaps = np.bincount(_bins(confidence), confidence - right, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def calibration_interval(confidence: _Floats, right: _Bools, seed: int = 0) -> Interval | None:
    """95% bootstrap interval of `calibration_error` (rows resampled, bins fixed); None without rows.

    The measure cannot go below 0, so resampling biases it upward and a percentile interval misses the truth
    of a well-calibrated model (0 of 300 simulations). The low end is therefore the basic bootstrap's, 2 e -
    upper; the high end the percentile's. It covered at least 94% in simulations at 500 and 1,000 rows with an
    error of 0.03 to 0.16, and 76% to 80% with an error of exactly 0.
    """
    error = calibration_error(confidence, right)
    if error is None:
        return None
    upper = max(error, float(np.percentile(_resampled_errors(confidence, right, seed), 97.5)))
    return max(0.0, 2 * error - upper), min(1.0, upper)


def _resampled_errors(confidence: _Floats, right: _Bools, seed: int) -> _Floats:
    """The calibration error of 1,000 resamples; down to 200 where rows are many and noise is small."""
    n, rng = len(confidence), np.random.default_rng(seed)
    bins, gaps = _bins(confidence), confidence - right
    resamples, at_once = max(200, min(1000, 20_000_000 // n)), max(1, 1_000_000 // n)
    errors = []
    for start in range(0, resamples, at_once):  # in blocks of a million draws, so that memory stays small
        count = min(at_once, resamples - start)
        rows = rng.integers(n, size=(count, n), dtype=np.int32)
        cells = bins[rows] + _BINS * np.arange(count)[:, None]
        sums = np.bincount(cells.ravel(), gaps[rows].ravel(), minlength=_BINS * count)
        errors.append(np.abs(sums.reshape(count, _BINS)).sum(axis=1) / n)
    return np.concatenate(errors)


def _bins(confidence: _Floats) -> NDArray[np.int64]:
    return np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
