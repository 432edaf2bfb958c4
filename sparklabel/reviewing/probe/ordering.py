"""In which order people are asked: first rows that lie apart, then those that the probe is least sure of.

In: vectors or log-probabilities of rows. Out: positions of rows. Numpy and scikit-learn; who is asked is decided in the
queue.

Of the strategies that were tried, none was better than this one by more than chance (small margin: "breaking ties",
Scheffer et al. 2001).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparklabel.classifiers.heads import Features, Floats

START = 20
"""How many rows are asked before the probe's margin orders the others."""
_MOST = 5000
"""How many vectors centers are computed from: more change them little, and take long."""


def kmeans_start(vectors: Features, n: int = START, seed: int = 0) -> NDArray[np.int64]:
    """The positions of up to `n` rows of [N, F], each nearest to another k-means center; the row of the center with the
    most rows first."""
    from sklearn.cluster import KMeans

    count = min(n, len(vectors))
    if count == 0:
        return np.zeros(0, np.int64)
    random = np.random.default_rng(seed)
    sample = vectors if len(vectors) <= _MOST else vectors[random.choice(len(vectors), _MOST, replace=False)]
    distinct = len(np.unique(sample, axis=0))
    found = KMeans(min(count, distinct), n_init=1, random_state=seed).fit(sample)
    order = np.argsort(-np.bincount(found.labels_, minlength=found.n_clusters), kind="stable")
    nearest = [_nearest(vectors, center) for center in found.cluster_centers_[order]]
    return np.array(list(dict.fromkeys(nearest)), np.int64)


def margin(log_p: Floats, groups: Sequence[int] = ()) -> NDArray[np.float32]:
    """[N]: the probability of the most probable choice minus that of the second, in [0, 1]; of several groups of
    choices the smallest one."""
    parts = np.split(log_p, np.cumsum(groups)[:-1], axis=1) if groups else [log_p]
    margins = [_of_one_group(part) for part in parts]
    return np.min(margins, axis=0).astype(np.float32)


def queue_order(
    margins: NDArray[np.float32], is_open: NDArray[np.bool_], start: Sequence[int] = ()
) -> NDArray[np.int32]:
    """The positions of open rows as people are asked: those of `start`, then by margin, the smallest first."""
    by_margin = np.argsort(margins, kind="stable")
    order = np.concatenate([np.asarray(start, np.int64), by_margin[~np.isin(by_margin, start)]])
    return order[is_open[order]].astype(np.int32)


def _nearest(vectors: Features, center: Features) -> int:
    return int(np.argmin(((vectors - center) ** 2).sum(axis=1)))


def _of_one_group(log_p: Floats) -> Floats:
    if log_p.shape[1] < 2:
        return np.ones(len(log_p))
    best = np.partition(log_p, -2, axis=1)[:, -2:]
    found: Floats = np.exp(best[:, 1]) - np.exp(best[:, 0])
    return found
