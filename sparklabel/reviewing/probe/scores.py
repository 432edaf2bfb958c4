"""What the probe finds of all rows, and a row's suggestion read out of it.

In: log-probabilities of rows' choices. Out: arrays that are small enough to be sent after every few answers; a value,
its confidence and other values. Numpy only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparklabel.classifiers.heads import Floats
from sparklabel.tasks import Scored
from sparklabel.tasks.multilabel import labels_of

BEST = 5
MOST_LABELS = 20
"""Choices that are kept of a row: of one choice the most probable ones, of a multilabel task the most probable yes."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Scores:
    """What the probe finds of the N rows whose features are read.

    Attributes:
        hashes: The rows' input hashes, in the order of all that follows. None: as in the scores before.
        best: [N, K], the numbers of the most probable choices, most probable first: K is 5, or fewer if the task has
            fewer. Of a multilabel task the yes of the most probable labels, up to 20.
        probability: [N, K], their probabilities.
        margin: [N], the probe's lead between its first and second choice, in [0, 1]; small where it is unsure.
        order: The positions of the rows to ask, in order: no answered and no held-out ones.
        featured: N.
        learned_from: How many answers the probe has learned from; 0 before it has learned.
    """

    hashes: tuple[str, ...] | None
    best: NDArray[np.int16]
    probability: NDArray[np.float32]
    margin: NDArray[np.float32]
    order: NDArray[np.int32]
    featured: int
    learned_from: int

    def queue(self) -> list[str]:
        """The hashes of the rows to ask, in order. Only of scores that have their hashes."""
        assert self.hashes is not None
        return [self.hashes[position] for position in self.order]


@dataclass(frozen=True, slots=True)
class ProbeSuggestion:
    """What the probe says of a row: a value of the task, its probability, and up to five choices with theirs, most
    probable first. Of a multilabel task, `choices` are labels, each with the probability that it applies."""

    value: Any
    confidence: float
    choices: tuple[tuple[Any, float], ...]


def suggestion(mode: Scored, scores: Scores, position: int) -> ProbeSuggestion:
    """Of the row at a position of the scores. A rating is the most probable point of the scale."""
    numbers, shares = scores.best[position].tolist(), scores.probability[position].tolist()
    if not mode.groups:
        choices = tuple((mode.choices[number], p) for number, p in zip(numbers, shares, strict=True))
        return ProbeSuggestion(choices[0][0], choices[0][1], choices)
    labels = labels_of(mode)
    found = [(labels[number // 2], p) for number, p in zip(numbers, shares, strict=True)]
    applies = {label for label, p in found if p > 0.5}
    confidence = float(np.prod([max(p, 1 - p) for _, p in found]))
    return ProbeSuggestion([label for label in labels if label in applies], confidence, tuple(found[:BEST]))


def best_choices(log_p: Floats, groups: Sequence[int]) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """The numbers [N, K] of the choices to keep of each row, most probable first, and their probabilities [N, K]. With
    `groups`, as a multilabel task has them, only the first choice of each is looked at: its yes."""
    looked_at = np.cumsum(groups) - np.asarray(groups) if groups else np.arange(log_p.shape[1])
    left = log_p[:, looked_at]
    rows, best = np.arange(len(left)), []
    for _ in range(min(MOST_LABELS if groups else BEST, left.shape[1])):
        best.append(left.argmax(axis=1))
        left[rows, best[-1]] = -np.inf  # several maxima are found sooner than a few numbers are sorted
    found = looked_at[np.stack(best, axis=1)]
    return found.astype(np.int16), np.exp(np.take_along_axis(log_p, found, axis=1)).astype(np.float32)
