"""Probabilities of choices, corrected for what a model says to nothing, and of written answers. Pure numpy."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def prior_corrected(
    log_p: NDArray[np.float64], prior_log_p: NDArray[np.float64], groups: Sequence[int] = ()
) -> NDArray[np.float64]:
    """[N, L] log-probabilities divided by the model's [L] answer to nothing, normalised again.

    `groups` are the sizes of consecutive groups of choices, each of which sums to 1; all are one group by default.
    Contextual calibration: Zhao et al. 2021, arXiv:2102.09690, equation 1 with a diagonal W.
    """
    sizes = np.asarray(groups or (log_p.shape[1],))
    starts = np.cumsum(sizes) - sizes
    shifted = log_p - prior_log_p
    peak = np.repeat(np.maximum.reduceat(shifted, starts, axis=1), sizes, axis=1)
    total = np.repeat(np.add.reduceat(np.exp(shifted - peak), starts, axis=1), sizes, axis=1)
    normalised: NDArray[np.float64] = shifted - peak - np.log(total)
    return normalised


def mean_log(log_p: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of the mean over N rows of [N, L] probabilities, without underflow."""
    mean: NDArray[np.float64] = np.logaddexp.reduce(log_p, axis=0) - np.log(len(log_p))
    return mean


def geometric_mean(log_p: Sequence[float]) -> float:
    """The geometric mean of probabilities given by their logarithms; 1 where there are none."""
    return float(np.exp(np.mean(log_p))) if len(log_p) else 1.0
