"""A head: logistic regression from one kind of features to the choices of a task.

In: features [N, F] and, for each row, the right choices. Out: log-probabilities [N, L]. Choices come in groups, as in
`Scored`: each group is a question of its own, whose probabilities sum to 1. It knows no texts and no models.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparklabel.confidence.prior import normalized

Floats = NDArray[np.float64]
Features = NDArray[np.float32]
Targets = NDArray[np.int64]
"""[N, G]: for each row and group of choices, the number of the right one within the group."""

STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""What cross-validation chooses from: inverse strengths of regularization, scikit-learn's `C`. Rows have length 1, so
one list serves all features; the best of a task differ by a factor of 100."""
UNSEEN = 1e-4
"""The probability that a head leaves for choices which its training rows do not have, shared by all choices."""
_FLAT = 1e-6


@dataclass(frozen=True, slots=True)
class Scaling:
    """How features are scaled before a head reads them: standardized, then to length 1.

    Sentence vectors have that length already, and their directions' spreads mean something: they are only centered
    (`scale` is all 1). Of hidden states, a few directions are a hundred times as wide as the others.
    """

    mean: Features
    scale: Features

    @classmethod
    def of(cls, features: Features, *, standardize: bool) -> "Scaling":
        """Of training features [N, F]."""
        spread = features.std(axis=0) if standardize else np.ones(features.shape[1])
        return cls(features.mean(axis=0), np.where(spread > _FLAT, spread, 1.0).astype(np.float32))

    def __call__(self, features: Features) -> Features:
        centered = (features - self.mean) / self.scale
        lengths = np.linalg.norm(centered, axis=1, keepdims=True)
        scaled: Features = centered / np.maximum(lengths, _FLAT)
        return scaled


@dataclass(frozen=True, slots=True)
class Head:
    """A fitted head. `weights` [F, L] and `bias` [L] give the logits of L choices; `groups` are the sizes of groups."""

    scaling: Scaling
    weights: Features
    bias: Features
    groups: tuple[int, ...]

    @classmethod
    def fit(
        cls,
        features: Features,
        targets: Targets,
        groups: Sequence[int],
        strength: float,
        *,
        standardize: bool = False,
    ) -> "Head":
        """Fits a logistic regression for each group of choices.

        Args:
            features: [N, F].
            targets: [N, G] for G groups.
            groups: The sizes of the groups, which sum to L.
            strength: scikit-learn's `C`.
            standardize: Scale each feature to a standard deviation of 1 first.
        """
        scaling = Scaling.of(features, standardize=standardize)
        scaled = scaling(features)
        parts = [
            _regression(scaled, targets[:, number], size, strength) for number, size in enumerate(groups)
        ]
        weights, biases = zip(*parts, strict=True)
        return cls(scaling, np.concatenate(weights, axis=1), np.concatenate(biases), tuple(groups))

    def log_probabilities(self, features: Features) -> Floats:
        """Features [N, F] to log-probabilities [N, L]."""
        logits = (self.scaling(features) @ self.weights + self.bias).astype(np.float64)
        return smoothed(normalized(logits, self.groups), self.groups)


def _regression(
    features: Features, targets: NDArray[np.int64], size: int, strength: float
) -> tuple[Features, Features]:
    """Weights [F, S] and bias [S] of a group of S choices. One without training rows is as good as impossible."""
    from sklearn.linear_model import LogisticRegression

    weights, bias = np.zeros((features.shape[1], size), np.float32), np.full(size, -30.0, np.float32)
    seen = np.unique(targets)
    if len(seen) == 1:
        bias[seen] = 0.0
        return weights, bias
    regression = LogisticRegression(C=strength, max_iter=500, tol=1e-3)
    with warnings.catch_warnings():
        # scikit-learn suspects regression targets where there are few answers to many labels.
        warnings.filterwarnings("ignore", message="The number of unique classes")
        regression.fit(features, targets)
    if len(seen) == 2:  # scikit-learn has one vector of weights then
        weights[:, seen[1]], bias[seen] = regression.coef_[0], (0.0, regression.intercept_[0])
    else:
        weights[:, seen], bias[seen] = regression.coef_.T, regression.intercept_
    return weights, bias


def smoothed(log_p: Floats, groups: Sequence[int]) -> Floats:
    """Log-probabilities [N, L] mixed with `UNSEEN` of equal ones: one that is wrongly 0 would overrule every other
    source."""
    equal = np.repeat(1 / np.asarray(groups, dtype=np.float64), groups)
    found: Floats = np.log((1 - UNSEEN) * np.exp(log_p) + UNSEEN * equal)
    return found


def cross_fitted(
    features: Features,
    targets: Targets,
    groups: Sequence[int],
    folds: NDArray[np.int64],
    strengths: Sequence[float] = STRENGTHS,
    *,
    standardize: bool = False,
    on_fit: Callable[[], None] = lambda: None,
) -> tuple[float, Floats]:
    """The best strength, and each row's log-probabilities [N, L] from a head that has not seen its fold.

    Args:
        features: [N, F].
        targets: [N, G].
        groups: The sizes of the groups of choices.
        folds: [N]: the number of each row's fold.
        strengths: To choose from, in ascending order.
        standardize: As in `Head.fit`.
        on_fit: Called before each of the fits; what it raises ends them.
    """
    best: tuple[float, Floats] | None = None
    lowest = np.inf
    for strength in strengths:
        found = np.zeros((len(features), sum(groups)))
        for fold in np.unique(folds):
            on_fit()
            inside = folds == fold
            head = Head.fit(features[~inside], targets[~inside], groups, strength, standardize=standardize)
            found[inside] = head.log_probabilities(features[inside])
        if (loss := mean_loss(found, targets, groups)) < lowest:
            lowest, best = loss, (strength, found)
        else:
            break  # the loss has one minimum along the strengths
    assert best is not None
    return best


def row_losses(log_p: Floats, targets: Targets, groups: Sequence[int]) -> Floats:
    """[N]: the negative log-probability of each row's right choices, in nats, all groups together."""
    starts = np.cumsum(groups) - np.asarray(groups)
    found: Floats = -np.take_along_axis(log_p, targets + starts, axis=1).sum(axis=1)
    return found


def mean_loss(log_p: Floats, targets: Targets, groups: Sequence[int]) -> float:
    return float(row_losses(log_p, targets, groups).mean())


def accuracy(log_p: Floats, targets: Targets, groups: Sequence[int]) -> float:
    """In [0, 1]: the share of rows whose groups are all right."""
    ends = np.cumsum(groups)[:-1]
    best = np.stack([part.argmax(axis=1) for part in np.split(log_p, ends, axis=1)], axis=1)
    return float((best == targets).all(axis=1).mean())
