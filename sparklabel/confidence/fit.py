"""Fits a calibrator to answers that people judged.

In: for each answer, the model's own probabilities and how right it was. Out: a calibrator. No Spark, no model.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparklabel.confidence.calibrators import (
    Calibrator,
    Isotonic,
    Platt,
    Temperature,
    WithFields,
    logit,
    other_probabilities,
    own_confidence,
)
from sparklabel.errors import AnswersError
from sparklabel.labels.record import Alternative, FieldConfidence, Label
from sparklabel.tasks.answer_modes import AnswerMode, Generated

MIN_ANSWERS = 50
_MIN_FOR_ISOTONIC = 1_000
_MAX_POINTS = 64
_LOWEST_TEMPERATURE, _HIGHEST_TEMPERATURE = 0.05, 20.0


@dataclass(frozen=True, slots=True)
class JudgedAnswer:
    """A model's answer that people judged: the model's confidence in it, its `other_probabilities`, and how right the
    answer was, in [0, 1]; and for each of its fields the model's confidence and how right it was."""

    raw: float
    others: tuple[float, ...]
    agreement: float
    fields: tuple[tuple[float, float], ...] = ()

    @classmethod
    def of(
        cls,
        mode: AnswerMode,
        gold: Any,
        value: Any,
        raw: float,
        alternatives: Sequence[Alternative] | None,
        fields: Sequence[FieldConfidence] | None,
    ) -> "JudgedAnswer":
        """A record's value and confidences beside the right answer. Both are plain values that the mode accepts, or the
        record has no value."""
        judged = judged_fields(mode, gold, value, fields)
        return cls(
            raw, tuple(other_probabilities(raw, alternatives)), mode.agreement(gold, value),
            tuple((own_confidence(field), right) for field, right in judged),
        )  # fmt: skip

    @classmethod
    def of_labels(
        cls, mode: AnswerMode, gold: Sequence[Any], labels: Sequence[Label]
    ) -> "list[JudgedAnswer]":
        """The same of a labeler's labels; those without a confidence, which the model could not give, are left out."""
        return [
            cls.of(mode, right, label.value, raw, label.alternatives, label.field_confidence)
            for right, label in zip(gold, labels, strict=True)
            if (raw := label.raw_confidence) is not None
        ]


def judged_fields(
    mode: AnswerMode, gold: Any, value: Any, fields: Sequence[FieldConfidence] | None
) -> list[tuple[FieldConfidence, float]]:
    """The confidence of each field of a value, and how right the field is, in [0, 1]; none where `gold` is no answer to
    the task. Each label of a multilabel task is a field."""
    if not fields or not (mode.accepts(gold) and mode.accepts(value)):
        return []
    if isinstance(mode, Generated):
        right = mode.field_agreement(gold, value)
    else:
        right = [float(a == b) for a, b in zip(mode.chosen(gold), mode.chosen(value), strict=True)]
    # Records of releases that had one confidence for all entities of a type have another number of them.
    return list(zip(fields, right, strict=True)) if len(right) == len(fields) else []


def fit_calibrator(judged: Sequence[JudgedAnswer], *, choices: bool) -> Calibrator:
    """Fits a calibrator by maximum likelihood; from 1,000 answers on, by isotonic regression. An answer that is right
    to 0.7 counts as 0.7 of a right one and 0.3 of a wrong one.

    Args:
        judged: Answers of one model to one task.
        choices: Whether an answer is one of several choices (`is_one_choice`): one temperature then. Otherwise Platt's
            two parameters, because nothing ties the confidence of a list or a text to 0.5, and two more for its fields
            if 50 of them were judged, some right and some wrong.

    Raises:
        AnswersError: There are fewer than 50 answers, or all of them are correct, or all are wrong.
    """
    correct = sum(answer.agreement for answer in judged)
    if not _is_enough([answer.agreement for answer in judged]):
        raise AnswersError(
            f"{len(judged)} answers, {correct:g} of them correct, are not enough to calibrate with.",
            hint=f"Correct or confirm at least {MIN_ANSWERS} answers of one model, some right and some wrong. Draw "
            "the rows at random, not because their answers look wrong.",
        )
    whole: Temperature | Isotonic | Platt
    if len(judged) >= _MIN_FOR_ISOTONIC:
        whole = _isotonic(judged)
    elif choices:
        whole = _temperature(judged)
    else:
        whole = _platt([(answer.raw, answer.agreement) for answer in judged])
    fields = [field for answer in judged for field in answer.fields]
    # Two numbers however many fields there are: a table's property is short.
    return WithFields(whole, _platt(fields)) if _is_enough([right for _, right in fields]) else whole


def field_confidences(calibrator: Calibrator | None, judged: Sequence[JudgedAnswer]) -> NDArray[np.float64]:
    """[F] confidences of the answers' fields: calibrated if something was fitted to them, else the model's own."""
    own = [raw for answer in judged for raw, _ in answer.fields]
    if isinstance(calibrator, WithFields):
        own = [calibrator.fields.confidence(raw, []) for raw in own]
    return np.array(own, dtype=np.float64)


def _is_enough(right: Sequence[float]) -> bool:
    """Whether this many answers, or fields, of which some are right and some wrong, can be fitted to."""
    return len(right) >= MIN_ANSWERS and 0 < sum(right) < len(right)


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


def _platt(judged: Sequence[tuple[float, float]]) -> Platt:
    """Fitted to the model's confidence in each answer, or field, and how right it was."""
    from sklearn.linear_model import LogisticRegression

    odds = [[logit(raw)] for raw, _ in judged]
    right = [share for _, share in judged]
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
    kept = np.linspace(0, len(fit.X_thresholds_) - 1, _MAX_POINTS).round().astype(int)
    # Rounding may make neighbors equal, and a line needs two distinct places: the first of each is kept.
    raw, first = np.unique(fit.X_thresholds_[kept].round(6), return_index=True)
    return Isotonic(tuple(raw.tolist()), tuple(fit.y_thresholds_[kept][first].round(6).tolist()))
