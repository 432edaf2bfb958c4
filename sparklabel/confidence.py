"""Probabilities of choices, corrected for what a model says to nothing. Pure numpy."""

import numpy as np
from numpy.typing import NDArray


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
