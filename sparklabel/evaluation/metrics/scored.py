"""Metrics of the scored kinds, and of each of their labels.

In: the task's answer mode, gold and predicted values, and which rows were completed, as parallel sequences. Out: a
`LabelScore` per label, and the kind's metrics by name. A row that was not completed predicts nothing, so it counts
against the recall of its gold labels. Kinds whose answers are generated are measured by `generated_metrics`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparklabel.tasks import Scored
from sparklabel.tasks.multilabel import labels_of

Indicators = Any
"""A sparse 0/1 matrix [N, C]: whether the value of row n stands for choice c. An unanswered row is all 0."""


@dataclass(frozen=True, slots=True)
class LabelScore:
    """One label: `support` rows have it as gold, `predicted` rows were answered with it."""

    label: str
    support: int
    predicted: int
    precision: float
    recall: float
    f1: float


def scored_metrics(
    mode: Scored, gold: Sequence[Any], predicted: Sequence[Any], completed: Sequence[bool]
) -> tuple[tuple[LabelScore, ...], dict[str, float]]:
    """The metrics that `mode.metrics` names: classification has macro_f1; multilabel has macro_f1 and micro_f1;
    matching has f1, precision and recall of True; rating has mae and within_one, and no label scores.

    Raises:
        ValueError: `mode.metrics` is none of these.
    """
    if mode.metrics == "rating":
        return (), _rating_metrics(mode, gold, predicted, completed)
    completed_only = [value if done else None for value, done in zip(predicted, completed, strict=True)]
    truth, answers = _indicators(mode, gold), _indicators(mode, completed_only)
    scores = label_scores(truth, answers, _labels(mode))
    match mode.metrics:
        case "classification":
            return scores, {"macro_f1": macro_f1(scores)}
        case "multilabel":
            micro = micro_f1(truth, answers, _labels(mode))
            return scores, {"macro_f1": macro_f1(scores), "micro_f1": micro}
        case "matching":
            true = next((score for score in scores if score.label == "True"), None)
            return scores, {name: getattr(true, name, 0.0) for name in ("f1", "precision", "recall")}
    raise ValueError(f"unknown metrics: {mode.metrics!r}")


def label_scores(
    gold: Indicators, predicted: Indicators, labels: Mapping[int, str]
) -> tuple[LabelScore, ...]:
    """Precision, recall and F1 of each label that occurs, in the order of `labels`, which maps columns to names.

    A ratio without a denominator is 0: the precision of a label that was never predicted, the recall of one without
    support.
    """
    from sklearn.metrics import precision_recall_fscore_support

    columns = list(labels)
    scores = precision_recall_fscore_support(gold, predicted, labels=columns, zero_division=0)
    counts = np.asarray(predicted[:, columns].sum(axis=0)).ravel()
    return tuple(
        LabelScore(label, int(support), int(count), float(precision), float(recall), float(f1))
        for label, count, precision, recall, f1, support in zip(labels.values(), counts, *scores, strict=True)
        if support or count
    )


def macro_f1(scores: Sequence[LabelScore]) -> float:
    """The mean F1 of the labels that occur in gold, equally weighted; 0 if none does."""
    f1s = [score.f1 for score in scores if score.support]
    return float(np.mean(f1s)) if f1s else 0.0


def micro_f1(gold: Indicators, predicted: Indicators, labels: Mapping[int, str]) -> float:
    """F1 over all pairs of a row and a label; 0 if there are no such pairs."""
    from sklearn.metrics import f1_score

    return float(f1_score(gold, predicted, labels=list(labels), average="micro", zero_division=0))


def _labels(mode: Scored) -> dict[int, str]:
    """The label that each choice stands for; only the "yes" choices of a multilabel task stand for one."""
    if mode.metrics == "multilabel":
        return {2 * i: label for i, label in enumerate(labels_of(mode))}
    return dict(enumerate(mode.names))


def _indicators(mode: Scored, values: Sequence[Any]) -> Indicators:
    from sklearn.preprocessing import MultiLabelBinarizer

    binarizer = MultiLabelBinarizer(classes=range(len(mode.choices)), sparse_output=True)
    return binarizer.fit_transform([mode.chosen(value) for value in values])


def _rating_metrics(
    mode: Scored, gold: Sequence[Any], predicted: Sequence[Any], completed: Sequence[bool]
) -> dict[str, float]:
    """`mae` is the mean absolute error of the completed rows, left out if there are none. `within_one` is the share of
    all rows whose nearest point on the scale is gold's or next to it."""
    from sklearn.metrics import mean_absolute_error

    pairs = [
        (truth, value)
        for truth, value, done in zip(gold, predicted, completed, strict=True)
        if done and mode.accepts(truth) and mode.accepts(value)
    ]
    steps = [abs(min(mode.chosen(truth)) - min(mode.chosen(value))) for truth, value in pairs]
    metrics = {"within_one": sum(step <= 1 for step in steps) / len(gold)}
    return {"mae": float(mean_absolute_error(*zip(*pairs, strict=True))), **metrics} if pairs else metrics
