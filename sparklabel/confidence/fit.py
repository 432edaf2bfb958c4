"""Fits a calibrator to answers that people judged.

In: for each answer, the model's own probabilities and how right it was. Out: a calibrator. No Spark, no model.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparklabel.confidence.calibrators import Calibrator, Isotonic, Platt, Temperature, logit
from sparklabel.errors import AnswersError

FEWEST_ANSWERS = 50
_FEWEST_FOR_ISOTONIC = 1_000
_MOST_POINTS = 64
_LOWEST_TEMPERATURE, _HIGHEST_TEMPERATURE = 0.05, 20.0


@dataclass(frozen=True, slots=True)
class JudgedAnswer:
    """A model's answer that people judged: the model's confidence in it, its probabilities for everything else
    (`others_of`), and how right the answer was, in [0, 1]."""

    raw: float
    others: tuple[float, ...]
    agreement: float


def fit_calibrator(judged: Sequence[JudgedAnswer], *, choices: bool) -> Calibrator:
    """Fits a calibrator by maximum likelihood; from 1,000 answers on, by isotonic regression. An answer that is right
    to 0.7 counts as 0.7 of a right one and 0.3 of a wrong one.

    Args:
        judged: Answers of one model to one task.
        choices: Whether answers are choices, whose probabilities sum to 1: one temperature then. Otherwise Platt's two
            parameters, because nothing ties a generated answer's probability to 0.5.

    Raises:
        AnswersError: There are fewer than 50 answers, or all of them are correct, or all are wrong.
    """
    correct = sum(answer.agreement for answer in judged)
    if len(judged) < FEWEST_ANSWERS or correct in (0, len(judged)):
        raise AnswersError(
            f"{len(judged)} answers, {correct:g} of them correct, are not enough to calibrate with.",
            hint=f"Correct or confirm at least {FEWEST_ANSWERS} answers of one model, some right and some wrong. Draw "
            "the rows at random, not because their answers look wrong.",
        )
    if len(judged) >= _FEWEST_FOR_ISOTONIC:
        return _isotonic(judged)
    return _temperature(judged) if choices else _platt(judged)


def confidences(calibrator: Calibrator, judged: Sequence[JudgedAnswer]) -> NDArray[np.float64]:
    """[N] calibrated confidences of N answers."""
    return np.array([calibrator.confidence(answer.raw, answer.others) for answer in judged])


def _temperature(judged: Sequence[JudgedAnswer]) -> Temperature:
    from scipy.optimize import minimize_scalar

    right = np.array([answer.agreement for answer in judged])

    def loss(log_temperature: float) -> float:
        """The negative log-likelihood of how right the answers are."""
        p = np.clip(confidences(Temperature(math.exp(log_temperature)), judged), 1e-9, 1 - 1e-9)
        return float(-(right * np.log(p) + (1 - right) * np.log(1 - p)).mean())

    bounds = (math.log(_LOWEST_TEMPERATURE), math.log(_HIGHEST_TEMPERATURE))
    best = minimize_scalar(loss, bounds=bounds, method="bounded")
    return Temperature(round(math.exp(best.x), 4))


def _platt(judged: Sequence[JudgedAnswer]) -> Platt:
    from sklearn.linear_model import LogisticRegression

    odds = [[logit(answer.raw)] for answer in judged]
    right = [answer.agreement for answer in judged]
    # Each answer once as right and once as wrong, with its share of each. Almost no penalty: just enough to keep the
    # slope finite when correct and wrong answers separate perfectly.
    fit = LogisticRegression(C=100.0).fit(
        odds + odds, [True] * len(odds) + [False] * len(odds), [*right, *(1 - share for share in right)]
    )
    slope, intercept = float(fit.coef_[0, 0]), float(fit.intercept_[0])
    if slope <= 0:  # the model's probability says nothing, so every answer gets the share of correct ones
        slope, intercept = 0.0, logit(sum(right) / len(right))
    return Platt(round(slope, 6), round(intercept, 6))


def _isotonic(judged: Sequence[JudgedAnswer]) -> Isotonic:
    from sklearn.isotonic import IsotonicRegression

    n = len(judged)
    # Bounds, because a bin of correct answers only does not prove that all such answers are correct.
    fit = IsotonicRegression(y_min=1 / (n + 2), y_max=1 - 1 / (n + 2)).fit(
        [answer.raw for answer in judged], [answer.agreement for answer in judged]
    )
    kept = np.linspace(0, len(fit.X_thresholds_) - 1, _MOST_POINTS).round().astype(int)
    # Rounding may make neighbors equal, and a line needs two distinct places: the first of each is kept.
    raw, first = np.unique(fit.X_thresholds_[kept].round(6), return_index=True)
    return Isotonic(tuple(raw.tolist()), tuple(fit.y_thresholds_[kept][first].round(6).tolist()))
