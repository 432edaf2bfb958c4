"""Probabilities before calibration: of choices, corrected for a model's prior, and of generated answers.

In: log-probabilities as arrays. Out: log-probabilities or a probability. Numpy only.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def prior_corrected(
    log_p: NDArray[np.float64], prior_log_p: NDArray[np.float64], groups: Sequence[int] = ()
) -> NDArray[np.float64]:
    """Contextual calibration: probabilities divided by the model's prior and normalized again. Zhao et al. 2021,
    arXiv:2102.09690, equation 1 with a diagonal W.

    Args:
        log_p: [N, L] log-probabilities of L choices for N rows.
        prior_log_p: [L] log-probabilities that the model gives the choices for an input without content.
        groups: The sizes of consecutive groups of choices; the probabilities of each group sum to 1. By default all
            choices are one group.

    Returns:
        [N, L] log-probabilities.
    """
    return normalized(log_p - prior_log_p, groups)


def normalized(logits: NDArray[np.float64], groups: Sequence[int] = ()) -> NDArray[np.float64]:
    """Logits [N, L] to log-probabilities that sum to 1 within each of the consecutive groups, whose sizes are given; by
    default all L are one group."""
    sizes = np.asarray(groups or (logits.shape[1],))
    starts = np.cumsum(sizes) - sizes
    peak = np.repeat(np.maximum.reduceat(logits, starts, axis=1), sizes, axis=1)
    total = np.repeat(np.add.reduceat(np.exp(logits - peak), starts, axis=1), sizes, axis=1)
    found: NDArray[np.float64] = logits - peak - np.log(total)
    return found


def mean_log(log_p: NDArray[np.float64]) -> NDArray[np.float64]:
    """[L]: the logarithm of the mean probability over N rows of [N, L] log-probabilities, without underflow."""
    mean: NDArray[np.float64] = np.logaddexp.reduce(log_p, axis=0) - np.log(len(log_p))
    return mean


def geometric_mean(log_p: Sequence[float]) -> float:
    """The geometric mean of probabilities, given as logarithms; 1 if there are none."""
    return float(np.exp(np.mean(log_p))) if len(log_p) else 1.0
