"""How good a set of answers is, whatever the kind of its task: one record, with the kind's own figures in it.

In: how the task is answered, and gold values, predicted values, confidences and statuses, in parallel. Out: one frozen
`Metrics`. No Spark and no model; rows without a gold value must have been left out. A failed row counts as a wrong
answer.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sparklabel.errors import AnswersError
from sparklabel.evaluation.metrics.confidence import (
    Interval,
    calibration_error,
    calibration_interval,
    confidence_auroc,
    wilson_interval,
)
from sparklabel.evaluation.metrics.generated import generated_metrics
from sparklabel.evaluation.metrics.scored import LabelScore, scored_metrics
from sparklabel.labels.status import ANSWERED
from sparklabel.tasks import AnswerMode, Scored


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """What `measure` found; shares are in [0, 1], intervals are 95% (low, high).

    `accuracy` is the share of rows whose answer says just what gold says: the same label, the same set of labels, the
    nearest point of a scale, the same text. `majority` is gold's most frequent answer, with the accuracy that giving
    it to every row would have; None where answers are generated. `confidence_auroc` is the probability that a right
    answer has more confidence than a wrong one: None where all are right, or none is. `measures` are the figures of
    the kind, and `labels` its labels one by one, where it has some.
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
    measures: dict[str, float] = field(default_factory=dict)
    labels: tuple[LabelScore, ...] = ()

    def figures(self) -> dict[str, float]:
        """The single numbers by name, as MLflow takes them; what is None is left out."""
        names = (
            "n", "completed", "completion_rate", "accuracy", "accuracy_completed", "confidence_auroc", "ece",
        )  # fmt: skip
        found = {name: float(value) for name in names if (value := getattr(self, name)) is not None}
        if self.majority:
            found["majority_accuracy"] = self.majority[1]
        for name, interval in (("accuracy", self.accuracy_interval), ("ece", self.ece_interval)):
            if interval is not None:
                found |= {f"{name}_lower95": interval[0], f"{name}_upper95": interval[1]}
        return found | self.measures


def measure(
    mode: AnswerMode,
    gold: Sequence[Any],
    predicted: Sequence[Any],
    confidence: Sequence[float | None],
    status: Sequence[str | None],
) -> Metrics:
    """Compares answers with the truth; the four sequences are parallel, the values are those of a task with `mode`.

    A row is completed when its status says that it was answered. A gold value that the task does not accept can only
    be answered wrongly; it counts in the accuracy and not in the kind's figures. Raises AnswersError when there is no
    row.
    """
    if not len(gold) == len(predicted) == len(confidence) == len(status):
        raise ValueError("gold, predicted, confidence and status differ in length")
    if not len(gold):
        raise AnswersError("There is nothing to evaluate: no row has a gold value.")
    completed = np.array([s in ANSWERED for s in status])
    right = np.array(
        [bool(c) and mode.agreement(g, p) == 1 for g, p, c in zip(gold, predicted, completed, strict=True)]
    )
    known = completed & np.array([c is not None for c in confidence])
    trust = np.array([c for c, k in zip(confidence, known, strict=True) if k], dtype=np.float64)
    labels, measures = _of_the_kind(mode, gold, predicted, completed.tolist())
    return Metrics(
        n=len(gold),
        completed=int(completed.sum()),
        completion_rate=float(completed.mean()),
        accuracy=float(right.mean()),
        accuracy_interval=wilson_interval(int(right.sum()), len(gold)),
        accuracy_completed=float(right[completed].mean()) if completed.any() else None,
        majority=_majority(mode, gold),
        confidence_auroc=confidence_auroc(trust, right[known]),
        ece=calibration_error(trust, right[known]),
        ece_interval=calibration_interval(trust, right[known]),
        measures=measures,
        labels=labels,
    )


def _of_the_kind(
    mode: AnswerMode, gold: Sequence[Any], predicted: Sequence[Any], completed: Sequence[bool]
) -> tuple[tuple[LabelScore, ...], dict[str, float]]:
    if isinstance(mode, Scored):
        return scored_metrics(mode, gold, predicted, completed)
    return (), generated_metrics(mode.metrics, gold, predicted, completed)


def _majority(mode: AnswerMode, gold: Sequence[Any]) -> tuple[str, float] | None:
    """What is said most often, and how often; what the task does not accept is nobody's answer."""
    if not isinstance(mode, Scored):
        return None
    said = Counter(", ".join(mode.categories(value)) for value in gold if mode.accepts(value))
    return next(((name, count / len(gold)) for name, count in said.most_common(1)), None)
