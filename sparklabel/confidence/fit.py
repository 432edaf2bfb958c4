"""Fits calibrators to answers that people judged. No Spark and no model.

In: the model's own probabilities, and whether each answer was right. Out: a calibrator.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparklabel.confidence.calibrators import Calibrator, Isotonic, Platt, Temperature, logit
from sparklabel.errors import AnswersError

FEWEST_ANSWERS = 50
_FEWEST_FOR_ISOTONIC = 1_000
_MOST_POINTS = 64
_TEMPERATURES = np.exp(np.linspace(np.log(0.05), np.log(20), 400))


@dataclass(frozen=True, slots=True)
class Judged:
    """One answer of a model that people judged: the probability that it gave, those of all else, and whether it was
    right."""

    raw: float
    others: tuple[float, ...]
    right: bool


def fit_calibrator(judged: Sequence[Judged], *, choices: bool) -> Calibrator:
    """By maximum likelihood: one temperature where answers are `choices`, whose probabilities sum to 1; Platt's two
    numbers elsewhere, since nothing ties a written answer's probability to 0.5. From 1,000 answers on isotonic
    regression.

    Raises AnswersError where there are fewer than 50, or all are right, or all wrong.
    """
    right = sum(one.right for one in judged)
    if len(judged) < FEWEST_ANSWERS or right in (0, len(judged)):
        raise AnswersError(
            f"{len(judged)} answers, {right} of them right, are too little to calibrate with.",
            hint=f"It takes at least {FEWEST_ANSWERS} answers of one model, right ones and wrong ones, that people "
            "corrected or confirmed; drawn at random, not because they looked wrong.",
        )
    if len(judged) >= _FEWEST_FOR_ISOTONIC:
        return _isotonic(judged)
    return _temperature(judged) if choices else _platt(judged)


def _temperature(judged: Sequence[Judged]) -> Temperature:
    losses = [_negative_log_likelihood(Temperature(float(t)), judged) for t in _TEMPERATURES]
    return Temperature(round(float(_TEMPERATURES[int(np.argmin(losses))]), 4))


def _platt(judged: Sequence[Judged]) -> Platt:
    from sklearn.linear_model import LogisticRegression

    logits = np.array([[logit(one.raw)] for one in judged])
    # Nearly no penalty: enough that answers which are told apart perfectly do not make it endless.
    fit = LogisticRegression(C=100.0).fit(logits, [one.right for one in judged])
    slope, intercept = float(fit.coef_[0, 0]), float(fit.intercept_[0])
    if slope <= 0:  # the model's probability says nothing: everything gets the share of right answers
        slope, intercept = 0.0, logit(sum(one.right for one in judged) / len(judged))
    return Platt(round(slope, 6), round(intercept, 6))


def _isotonic(judged: Sequence[Judged]) -> Isotonic:
    from sklearn.isotonic import IsotonicRegression

    n = len(judged)
    # A bin of right answers only is no proof that all are.
    fit = IsotonicRegression(y_min=1 / (n + 2), y_max=1 - 1 / (n + 2)).fit(
        [one.raw for one in judged], [one.right for one in judged]
    )
    kept = np.unique(np.linspace(0, len(fit.X_thresholds_) - 1, _MOST_POINTS).round().astype(int))
    raw, confidences = (
        np.round(points[kept], 6).tolist() for points in (fit.X_thresholds_, fit.y_thresholds_)
    )
    # Rounding may have made neighbours equal; a line needs two places.
    distinct = [i for i, x in enumerate(raw) if i == 0 or x > raw[i - 1]]
    return Isotonic(tuple(raw[i] for i in distinct), tuple(confidences[i] for i in distinct))


def _negative_log_likelihood(calibrator: Calibrator, judged: Sequence[Judged]) -> float:
    p = np.clip(confidences(calibrator, judged), 1e-9, 1 - 1e-9)
    right = np.array([one.right for one in judged])
    return float(-np.log(np.where(right, p, 1 - p)).mean())


def confidences(calibrator: Calibrator, judged: Sequence[Judged]) -> NDArray[np.float64]:
    return np.array([calibrator.confidence(one.raw, one.others) for one in judged])
