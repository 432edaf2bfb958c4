"""How good a set of answers is, whatever the task's kind.

In: the task's answer mode, and gold values, predicted values, confidences and statuses as parallel sequences. Out: one
frozen `Metrics`, with the kind's own metrics in it. No Spark and no model. Callers leave out rows without a gold value;
a failed row counts as a wrong answer.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sparklabel.confidence.fit import judged_fields
from sparklabel.errors import AnswersError
from sparklabel.evaluation.metrics.confidence import (
    calibration_error,
    calibration_interval,
    confidence_auroc,
)
from sparklabel.evaluation.metrics.generated import generated_metrics
from sparklabel.evaluation.metrics.scored import LabelScore, scored_metrics
from sparklabel.intervals import Interval, wilson_interval
from sparklabel.labels.record import FieldConfidence
from sparklabel.labels.status import ANSWERED
from sparklabel.tasks import AnswerMode, Scored


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """What `measure` found. Shares are in [0, 1]; intervals are (low, high) at 95%.

    Attributes:
        n: Rows with a gold value.
        completed: Rows that the model answered; the others failed.
        completion_rate: `completed` / `n`.
        accuracy: The share of rows whose answer says what gold says: the same label, the same set of labels, the
            nearest point of a scale, the same text. A failed row is wrong.
        accuracy_interval: Wilson's interval of `accuracy`.
        accuracy_completed: The accuracy of the completed rows; None if there are none.
        majority: Gold's most frequent answer, and the accuracy of giving it to every row. None for generated answers.
        confidence_auroc: The probability that a correct answer has a higher confidence than a wrong one. None if all
            answers are correct or all are wrong.
        ece: The expected calibration error of the confidence; None without confidences.
        ece_interval: The interval of `ece`.
        field_auroc: `confidence_auroc` of the fields or elements of written values; None without them.
        field_ece: Their `ece`.
        measures: The kind's own metrics by name, such as macro_f1.
        labels: Precision, recall and F1 per label, for kinds that have labels.
    """

    n: int
    completed: int
    completion_rate: float
    accuracy: float
    accuracy_interval: Interval
    accuracy_completed: float | None
    majority: tuple[str, float] | None
    confidence_auroc: float | None
    ece: float | None
    ece_interval: Interval | None
    field_auroc: float | None = None
    field_ece: float | None = None
    measures: dict[str, float] = field(default_factory=dict)
    labels: tuple[LabelScore, ...] = ()

    def figures(self) -> dict[str, float]:
        """The single numbers by name, as they are logged to MLflow. None is left out."""
        names = (
            "n", "completed", "completion_rate", "accuracy", "accuracy_completed", "confidence_auroc", "ece",
            "field_auroc", "field_ece",
        )  # fmt: skip
        numbers = {name: float(value) for name in names if (value := getattr(self, name)) is not None}
        if self.majority:
            numbers["majority_accuracy"] = self.majority[1]
        for name, interval in (("accuracy", self.accuracy_interval), ("ece", self.ece_interval)):
            if interval is not None:
                numbers |= {f"{name}_lower95": interval[0], f"{name}_upper95": interval[1]}
        return numbers | self.measures


def measure(
    mode: AnswerMode,
    gold: Sequence[Any],
    predicted: Sequence[Any],
    confidence: Sequence[float | None],
    status: Sequence[str | None],
    fields: Sequence[Sequence[FieldConfidence] | None] = (),
) -> Metrics:
    """Compares a model's answers with gold.

    Args:
        mode: How the task is answered.
        gold: The right values. A value that the task does not accept can only be answered wrongly; it counts in the
            accuracy and not in the kind's own metrics.
        predicted: The model's values.
        confidence: The confidence of each value, in [0, 1].
        status: Each row's status, which says whether the row was completed.
        fields: The confidences of each value's fields, if they are to be judged.

    Raises:
        AnswersError: There are no rows.
        ValueError: The sequences differ in length.
    """
    if not len(gold) == len(predicted) == len(confidence) == len(status) == (len(fields) or len(gold)):
        raise ValueError("gold, predicted, confidence, status and fields differ in length")
    if not len(gold):
        raise AnswersError("There is nothing to evaluate: no row has a gold value.")
    completed = np.array([s in ANSWERED for s in status])
    right = np.array(
        [mode.agreement(g, p) if c else 0.0 for g, p, c in zip(gold, predicted, completed, strict=True)]
    )
    correct = right == 1
    # NULL confidences become NaN.
    confidences = np.array(confidence, dtype=np.float64)
    known = completed & ~np.isnan(confidences)
    labels, measures = _kind_metrics(mode, gold, predicted, completed.tolist())
    judged = [
        (one.confidence, share)
        for right_value, value, own, is_complete in zip(
            gold, predicted, fields or [None] * len(gold), completed, strict=True
        )
        if is_complete
        for one, share in judged_fields(mode, right_value, value, own)
    ]
    of_fields, fields_right = np.array(judged, dtype=np.float64).reshape(-1, 2).T
    return Metrics(
        n=len(gold),
        completed=int(completed.sum()),
        completion_rate=float(completed.mean()),
        accuracy=float(correct.mean()),
        accuracy_interval=wilson_interval(int(correct.sum()), len(gold)),
        accuracy_completed=float(correct[completed].mean()) if completed.any() else None,
        majority=_majority(mode, gold),
        confidence_auroc=confidence_auroc(confidences[known], correct[known]),
        ece=calibration_error(confidences[known], right[known]),
        ece_interval=calibration_interval(confidences[known], right[known]),
        field_auroc=confidence_auroc(of_fields, fields_right == 1),
        field_ece=calibration_error(of_fields, fields_right),
        measures=measures,
        labels=labels,
    )


def _kind_metrics(
    mode: AnswerMode, gold: Sequence[Any], predicted: Sequence[Any], completed: Sequence[bool]
) -> tuple[tuple[LabelScore, ...], dict[str, float]]:
    if isinstance(mode, Scored):
        return scored_metrics(mode, gold, predicted, completed)
    return (), generated_metrics(mode.metrics, gold, predicted, completed)


def _majority(mode: AnswerMode, gold: Sequence[Any]) -> tuple[str, float] | None:
    """The most frequent gold answer and its share of all rows; values that the task does not accept are skipped."""
    if not isinstance(mode, Scored):
        return None
    answers = Counter(", ".join(mode.categories(value)) for value in gold if mode.accepts(value))
    return next(((name, count / len(gold)) for name, count in answers.most_common(1)), None)
