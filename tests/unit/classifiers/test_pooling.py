"""Pools: several sources of probabilities made one."""

import numpy as np
import pytest

from sparklabel.classifiers.heads import mean_loss
from sparklabel.classifiers.pooling import Pool
from sparklabel.confidence.prior import normalized

GROUPS = (4,)
RANDOM = np.random.default_rng(0)
TARGETS = RANDOM.integers(4, size=(600, 1))


def source(quality, seed, scale=1.0):
    """Log-probabilities that know the right choice as well as `quality` says, and say it `scale` times too loudly."""
    logits = np.random.default_rng(seed).normal(size=(600, 4))
    logits[np.arange(600), TARGETS[:, 0]] += quality
    return normalized(logits * scale, GROUPS)


def test_two_sources_that_know_different_things_are_better_than_either():
    sources = {"a": source(2.0, 1), "b": source(2.0, 2)}
    pooled = Pool.fit(sources, TARGETS, GROUPS)(sources)
    assert mean_loss(pooled, TARGETS, GROUPS) < 0.8 * min(
        mean_loss(one, TARGETS, GROUPS) for one in sources.values()
    )


def test_one_source_alone_is_tempered():
    loud = {"a": source(2.0, 1, scale=3.0)}
    pool = Pool.fit(loud, TARGETS, GROUPS)
    assert pool.weights["a"] < 0.7
    assert mean_loss(pool(loud), TARGETS, GROUPS) < mean_loss(loud["a"], TARGETS, GROUPS)


def test_a_source_that_knows_nothing_gets_no_weight():
    pool = Pool.fit({"a": source(2.0, 1), "noise": source(0.0, 2)}, TARGETS, GROUPS)
    assert pool.weights["noise"] == pytest.approx(0, abs=0.1)


def test_a_costly_source_is_kept_where_it_helps_and_only_there():
    cheap, costs = source(2.0, 1), {"cheap": 1.0, "costly": 100.0}
    helpful = {"cheap": cheap, "costly": source(2.0, 2)}
    assert set(Pool.chosen(helpful, TARGETS, GROUPS, costs).weights) == {"cheap", "costly"}
    useless = {"cheap": cheap, "costly": source(0.0, 2)}
    assert set(Pool.chosen(useless, TARGETS, GROUPS, costs).weights) == {"cheap"}


def test_a_cheap_source_is_left_out_too_where_it_does_not_help():
    sources = {"cheap": source(0.0, 1), "costly": source(2.0, 2)}
    assert set(Pool.chosen(sources, TARGETS, GROUPS, {"cheap": 1.0, "costly": 100.0}).weights) == {"costly"}


def test_a_costly_source_must_save_as_much_of_the_loss_as_is_asked_of_it():
    sources, costs = {"cheap": source(2.0, 1), "costly": source(2.0, 2)}, {"cheap": 1.0, "costly": 100.0}
    kept = [
        set(Pool.chosen(sources, TARGETS, GROUPS, costs, {"costly": least}).weights) for least in (0.1, 0.9)
    ]
    assert kept == [{"cheap", "costly"}, {"cheap"}]
