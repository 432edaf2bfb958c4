"""How several sources of probabilities become one: a weighted product, whose weights are fitted.

In: each source's log-probabilities for rows that it has not learned from. Out: weights, and pooled log-probabilities.
A source is a head, or a language model that scores the choices.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sparklabel.classifiers.heads import Floats, Targets, accuracy, row_losses
from sparklabel.confidence.prior import normalized

_HIGHEST_WEIGHT = 20.0
_MIN_GAIN = 0.002
"""Nats a row: what a source must gain at least. Where all sources are nearly sure, a millionth can be significant."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A logarithmic opinion pool (Genest and Zidek 1986, doi:10.1214/ss/1177013825): log-probabilities times the
    source's weight, summed and normalized. One weight alone is an inverse temperature."""

    weights: Mapping[str, float]
    groups: tuple[int, ...]

    @classmethod
    def fit(cls, sources: Mapping[str, Floats], targets: Targets, groups: Sequence[int]) -> "Pool":
        """The weights, in [0, 20], that make the right choices most probable.

        Args:
            sources: For each source [N, L].
            targets: [N, G].
            groups: The sizes of the groups of choices.
        """
        from scipy.optimize import minimize

        names, groups = list(sources), tuple(groups)
        stacked = np.stack([sources[name] for name in names])

        def loss(weights: Floats) -> float:
            pooled = normalized(np.einsum("k,knl->nl", weights, stacked).astype(np.float64), groups)
            return float(row_losses(pooled, targets, groups).mean())

        bounds = [(0.0, _HIGHEST_WEIGHT)] * len(names)
        fitted = minimize(loss, np.full(len(names), 1 / len(names)), method="L-BFGS-B", bounds=bounds)
        return cls(dict(zip(names, fitted.x.tolist(), strict=True)), groups)

    @classmethod
    def chosen(
        cls,
        sources: Mapping[str, Floats],
        targets: Targets,
        groups: Sequence[int],
        costs: Mapping[str, float],
        least_gains: Mapping[str, float] | None = None,
    ) -> "Pool":
        """The pool of the sources that are worth their cost: beginning with the costliest, a source is left out if the
        rest is no worse by more than one standard error of the difference (Breiman et al. 1984, "Classification and
        Regression Trees", section 3.4.3).

        Args:
            sources: For each source [N, L].
            targets: [N, G].
            groups: The sizes of the groups of choices.
            costs: For each source, what a row costs with it, in any unit.
            least_gains: For some sources, the share of the mean loss, or of the wrong rows, without them that they must
                save to be kept.
        """
        kept = dict(sources)
        pool = cls.fit(kept, targets, groups)
        for name in sorted(sources, key=lambda name: -costs[name]):
            rest = {other: log_p for other, log_p in kept.items() if other != name}
            if not rest:
                break
            without = cls.fit(rest, targets, groups)
            before, after = without(rest), pool(kept)
            least = (least_gains or {}).get(name, 0.0)
            if (
                not is_better(after, before, targets, groups)
                or _saved(before, after, targets, groups) < least
            ):
                kept, pool = rest, without
        return pool

    def __call__(self, sources: Mapping[str, Floats]) -> Floats:
        """The pooled log-probabilities [N, L]. Sources without a weight are not read."""
        summed = sum(weight * sources[name] for name, weight in self.weights.items())
        return normalized(np.asarray(summed), self.groups)


def is_better(log_p: Floats, other: Floats, targets: Targets, groups: Sequence[int]) -> bool:
    """Whether the first loses less than the second, [N, L] both, by more than one standard error of the difference."""
    gained = row_losses(other, targets, groups) - row_losses(log_p, targets, groups)
    return float(gained.mean()) > max(float(gained.std()) / np.sqrt(len(gained)), _MIN_GAIN)


def _saved(before: Floats, after: Floats, targets: Targets, groups: Sequence[int]) -> float:
    """The share of the mean loss, or of the wrong rows, that is gone: whichever is more."""
    loss, loss_left = (float(row_losses(log_p, targets, groups).mean()) for log_p in (before, after))
    wrong, wrong_left = (1 - accuracy(log_p, targets, groups) for log_p in (before, after))
    return max((loss - loss_left) / loss, (wrong - wrong_left) / max(wrong, _MIN_GAIN))
