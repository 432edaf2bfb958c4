"""From scores to probabilities: prior correction, the answer, its alternatives. Pure numpy."""

import numpy as np
from numpy.typing import NDArray

from sparklabel.labels import Alternative

MOST_ALTERNATIVES = 5


def prior_corrected(log_p: NDArray[np.float64], prior_log_p: NDArray[np.float64]) -> NDArray[np.float64]:
    """[N, L] log-probabilities divided by the model's [L] answer to nothing, normalised again.

    Contextual calibration: Zhao et al. 2021, arXiv:2102.09690, equation 1 with a diagonal W.
    """
    shifted = log_p - prior_log_p
    peak = shifted.max(axis=1, keepdims=True)
    normalised: NDArray[np.float64] = (
        shifted - peak - np.log(np.exp(shifted - peak).sum(axis=1, keepdims=True))
    )
    return normalised


def mean_log(log_p: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of the mean over N rows of [N, L] probabilities, without underflow."""
    mean: NDArray[np.float64] = np.logaddexp.reduce(log_p, axis=0) - np.log(len(log_p))
    return mean


def ranked(log_p: NDArray[np.float64], names: tuple[str, ...]) -> tuple[Alternative, ...]:
    """The best alternatives of one row, most probable first; equal ones in the task's order."""
    best = np.argsort(-log_p, kind="stable")[:MOST_ALTERNATIVES]
    return tuple(Alternative(names[i], float(np.exp(log_p[i]))) for i in best)
