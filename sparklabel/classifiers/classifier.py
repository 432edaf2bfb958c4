"""A classifier: heads over several kinds of features, and sources that need no head, pooled.

In: for each source, features or log-probabilities of rows, and for fitting their answers. Out: log-probabilities of a
task's choices. Where features come from is not known here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparklabel.classifiers.heads import Features, Floats, Head, Targets, accuracy, cross_fitted, mean_loss
from sparklabel.classifiers.pooling import Pool
from sparklabel.models.manifest import HIDDEN as HIDDEN
from sparklabel.models.manifest import SCORES as SCORES

SENTENCE, NAMES = "sentence", "names"
"""The sources beside a language model's: sentence vectors, and likeness to the labels' names."""
COSTS = {NAMES: 0.1, SENTENCE: 1.0, HIDDEN: 20.0, SCORES: 30.0}
"""What a row costs with each source, relative to a sentence vector: only the order counts."""
_LEAST_GAINS = {HIDDEN: 0.07}
"""What a source must save of the loss, or of the wrong rows. With hidden states a version answers rows a tenth as fast:
worth it where texts are judged (a third of the loss on two sets), not where topics are told apart (5%)."""
WITHOUT_HEAD = frozenset({NAMES, SCORES})
"""What gives log-probabilities itself."""
_STANDARDIZED = frozenset({HIDDEN})


@dataclass(frozen=True, slots=True)
class Fit:
    """How well a classifier does on rows that its heads have not seen: accuracy in [0, 1], where a row counts if all
    of its groups are right, and mean loss in nats."""

    accuracy: float
    loss: float

    @classmethod
    def of(cls, log_p: Floats, targets: Targets, groups: Sequence[int]) -> "Fit":
        """Of log-probabilities [N, L] of rows that were not learned from."""
        return cls(accuracy(log_p, targets, groups), mean_loss(log_p, targets, groups))


@dataclass(frozen=True, slots=True)
class Classifier:
    """Heads by source, and the pool of all sources."""

    heads: Mapping[str, Head]
    pool: Pool

    @property
    def sources(self) -> tuple[str, ...]:
        """What must be read of each row."""
        return tuple(self.pool.weights)

    def log_probabilities(self, read: Mapping[str, Features | Floats]) -> Floats:
        """[N, L]. `read` has, for each of `sources`, features [N, F] if it has a head and log-probabilities [N, L]
        otherwise."""
        return self.pool(
            {
                name: self.heads[name].log_probabilities(read[name].astype(np.float32))
                if name in self.heads
                else read[name].astype(np.float64)
                for name in self.sources
            }
        )


def fit_classifier(
    read: Mapping[str, Features | Floats],
    targets: Targets,
    groups: Sequence[int],
    folds: NDArray[np.int64],
    on_fit: Callable[[], None] = lambda: None,
) -> tuple[Classifier, Fit]:
    """Fits heads, chooses what is worth its cost, and weighs it, all by cross-fitting on the training rows.

    Args:
        read: For each source that gets a head features [N, F]; for others log-probabilities [N, L] of what has not
            learned from these rows.
        targets: [N, G], the right choice in each of G groups.
        groups: The sizes of the groups, which sum to L.
        folds: [N], the number of each row's fold; at least two. Rows with equal inputs share one.
        on_fit: As in `cross_fitted`.

    Returns:
        The classifier, fitted on all rows, and how well it does on rows that its heads have not seen.
    """
    features = {name: found.astype(np.float32) for name, found in read.items() if name not in WITHOUT_HEAD}
    given = {name: found.astype(np.float64) for name, found in read.items() if name in WITHOUT_HEAD}
    fitted = {
        name: cross_fitted(found, targets, groups, folds, standardize=name in _STANDARDIZED, on_fit=on_fit)
        for name, found in features.items()
    }
    unseen = {name: log_p for name, (_, log_p) in fitted.items()} | given
    pool = Pool.chosen(unseen, targets, groups, COSTS, _LEAST_GAINS)
    heads = {
        name: Head.fit(features[name], targets, groups, strength, standardize=name in _STANDARDIZED)
        for name, (strength, _) in fitted.items()
        if name in pool.weights
    }
    return Classifier(heads, pool), Fit.of(pool(unseen), targets, groups)


def group_targets(chosen: Sequence[Sequence[int]], groups: Sequence[int]) -> Targets:
    """The targets [N, G] of rows whose right choices have these numbers among all L, one in each group."""
    starts = np.cumsum([0, *groups[:-1]])
    found = np.zeros((len(chosen), len(groups)), dtype=np.int64)
    for row, numbers in enumerate(chosen):
        of = np.searchsorted(starts, numbers, side="right") - 1
        found[row, of] = np.asarray(numbers) - starts[of]
    return found
