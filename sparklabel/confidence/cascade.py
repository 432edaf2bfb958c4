"""The confidence from which a model's answers are kept; a second model is asked about the other rows.

In: how right two models are on the same judged answers, and how sure the first one is. Out: a threshold. Numpy only.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MIN_JUDGED = 100
TOLERANCE = 0.01
"""What the two together may be less right than the second model alone: one point."""
_RESAMPLES, _MAX_THRESHOLDS = 2_000, 200
_STEPS = 1000
"""Thresholds are thousandths, rounded up: what is printed is what is used, and noise does not move it."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold, on `judged` answers: the `share` of them that stand, how right both models together are, and how
    right the second one is alone, each in [0, 1]. `lower95` bounds the difference."""

    below: float
    judged: int
    share: float
    accuracy: float
    fallback_accuracy: float
    lower95: float


def lowest_threshold(confidence: Floats, right: Floats, fallback_right: Floats) -> Threshold | None:
    """The lowest confidence from which answers are kept: both models together are then, but for `TOLERANCE`, as right
    as the second one alone.

    That is asked of a lower bound: the 2.5th percentile of 2,000 paired resamples of the judged answers, and of one
    more that stands and is wrong. Resamples of answers without a loss have none, however few they are; with that one,
    no loss among 400 passes, and no loss among 200 does not, as by the rule of three. Thresholds are tried from the
    highest to the lowest, and the first one that fails ends it: a threshold further down cannot pass by chance
    (fixed-sequence testing; Angelopoulos et al. 2021, "Learn then Test", arXiv:2110.01052, section 3.2).

    Args:
        confidence: [N], of the first model's answers; NaN where it has none, which never stands.
        right: [N], how right the first model is, in [0, 1].
        fallback_right: [N], the same for the second model.

    Returns:
        The threshold; None if no answer can be kept.
    """
    n = len(confidence)
    sure = np.where(np.isnan(confidence), -np.inf, confidence)
    order = np.argsort(-sure, kind="stable")
    sure, lost = sure[order], (fallback_right - right)[order]
    bounded = np.concatenate([[1.0], lost])
    # Answers of one confidence stand together: a threshold ends at the last of them.
    ends = np.flatnonzero(np.append(sure[1:] < sure[:-1], True) & (sure > 0)) + 1
    ends = ends[np.unique(np.linspace(0, len(ends) - 1, min(len(ends), _MAX_THRESHOLDS)).astype(int))]
    if not len(ends):
        return None
    rng = np.random.default_rng(0)
    gains = np.empty((_RESAMPLES, len(ends)))
    for draw in gains:
        times = np.bincount(rng.integers(0, n + 1, n + 1), minlength=n + 1)
        draw[:] = -np.cumsum(times * bounded)[ends] / (n + 1)
    lower = np.percentile(gains, 2.5, axis=0)
    failed = np.flatnonzero(lower < -TOLERANCE)
    passed = failed[0] if len(failed) else len(ends)
    if not passed:
        return None
    end = int(ends[passed - 1])
    fallback = float(fallback_right.mean())
    return Threshold(
        below=min(1.0, math.ceil(sure[end - 1] * _STEPS) / _STEPS), judged=n, share=end / n,
        accuracy=fallback - float(lost[:end].sum()) / n, fallback_accuracy=fallback,
        lower95=float(lower[passed - 1]),
    )  # fmt: skip
