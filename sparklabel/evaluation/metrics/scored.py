"""The figures of the scored kinds, and their labels one by one.

In: how the task is answered, gold and predicted values, and which rows were answered, in parallel. Out: scores of
labels, and the kind's figures by name. A row that was not answered says nothing: it misses what gold says.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparklabel.tasks import Scored
from sparklabel.tasks.multilabel import labels_of

_Said = Sequence[frozenset[int]]
"""For each row, the numbers of the choices that it says."""


@dataclass(frozen=True, slots=True)
class LabelScore:
    """One label: `support` rows have it as gold, `predicted` rows were answered with it."""

    label: str
    support: int
    predicted: int
    precision: float
    recall: float
    f1: float


_Found = tuple[tuple[LabelScore, ...], dict[str, float]]


def scored_metrics(
    mode: Scored, gold: Sequence[Any], predicted: Sequence[Any], completed: Sequence[bool]
) -> _Found:
    """`mode.metrics` says which: classification has macro_f1; multilabel macro_f1 and micro_f1; matching f1, precision
    and recall of True; rating mae and within_one."""
    said = [frozenset(mode.chosen(value)) for value in gold]
    answered = [
        frozenset(mode.chosen(value) if done else ())
        for value, done in zip(predicted, completed, strict=True)
    ]
    match mode.metrics:
        case "classification":
            scores = label_scores(said, answered, dict(enumerate(mode.names)))
            return scores, {"macro_f1": macro_f1(scores)}
        case "multilabel":
            scores = label_scores(said, answered, {2 * i: label for i, label in enumerate(labels_of(mode))})
            return scores, {"macro_f1": macro_f1(scores), "micro_f1": micro_f1(said, answered)}
        case "matching":
            scores = label_scores(said, answered, dict(enumerate(mode.names)))
            true = next((score for score in scores if score.label == "True"), None)
            return scores, {name: getattr(true, name, 0.0) for name in ("f1", "precision", "recall")}
        case "rating":
            return (), _distances(gold, predicted, said, answered)
    raise ValueError(f"there are no measures {mode.metrics!r}")


def label_scores(gold: _Said, answered: _Said, names: Mapping[int, str]) -> tuple[LabelScore, ...]:
    """Precision, recall and F1 of each choice in `names` that occurs, in their order.

    What has no denominator is 0: the precision of a label that was never answered, the recall of one without support.
    """
    support, predicted = (Counter(number for row in rows for number in row) for rows in (gold, answered))
    hits = Counter(number for g, a in zip(gold, answered, strict=True) for number in g & a)
    return tuple(
        LabelScore(
            label=name,
            support=support[i],
            predicted=predicted[i],
            precision=_share(hits[i], predicted[i]),
            recall=_share(hits[i], support[i]),
            f1=_share(2 * hits[i], support[i] + predicted[i]),
        )
        for i, name in names.items()
        if support[i] or predicted[i]
    )


def macro_f1(scores: Sequence[LabelScore]) -> float:
    """The mean F1 of the labels that occur in gold, each weighing the same; 0 where none does."""
    found = [score.f1 for score in scores if score.support]
    return float(np.mean(found)) if found else 0.0


def micro_f1(gold: _Said, answered: _Said) -> float:
    """F1 over all pairs of a row and a label that applies to it, which the choices with even numbers say."""
    pairs = [[{n for n in row if n % 2 == 0} for row in rows] for rows in (gold, answered)]
    hits = sum(len(g & a) for g, a in zip(*pairs, strict=True))
    return _share(2 * hits, sum(len(row) for rows in pairs for row in rows))


def _distances(
    gold: Sequence[Any], predicted: Sequence[Any], said: _Said, answered: _Said
) -> dict[str, float]:
    """`mae`, the mean distance from gold, of the rows that were answered, and left out where none was; `within_one`,
    the share of all rows whose nearest point is gold's or next to it."""
    both = [bool(g and a) for g, a in zip(said, answered, strict=True)]
    apart = [abs(g - p) for g, p, there in zip(gold, predicted, both, strict=True) if there]
    steps = [abs(min(g) - min(a)) for g, a, there in zip(said, answered, both, strict=True) if there]
    found = {"within_one": sum(step <= 1 for step in steps) / len(gold)}
    return {"mae": float(np.mean(apart)), **found} if apart else found


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
