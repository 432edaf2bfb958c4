"""Heads: logistic regression over features, in groups of choices."""

import numpy as np
import pytest

from sparklabel.classifiers.heads import Head, cross_fitted, mean_loss

GROUPS = (3,)


def clusters(rows, seed=0, spread=0.6, width=8, choices=3):
    """Features around one center a choice, and the choices."""
    random = np.random.default_rng(seed)
    centers = np.random.default_rng(9).normal(size=(choices, width))
    targets = random.integers(choices, size=(rows, 1))
    features = centers[targets[:, 0]] + random.normal(scale=spread, size=(rows, width))
    return features.astype(np.float32), targets


def test_a_head_finds_the_choices_of_new_rows():
    head = Head.fit(*clusters(300), GROUPS, 10.0)
    features, targets = clusters(300, seed=1)
    log_p = head.log_probabilities(features)
    assert np.exp(log_p).sum(axis=1) == pytest.approx(1)
    assert (log_p.argmax(axis=1) == targets[:, 0]).mean() > 0.95


def test_each_group_is_a_question_of_its_own():
    features, first = clusters(300)
    second = (features[:, :1] > 0).astype(int)
    head = Head.fit(features, np.hstack([first, second]), (3, 2), 10.0)
    p = np.exp(head.log_probabilities(features))
    assert p[:, :3].sum(axis=1) == pytest.approx(1)
    assert p[:, 3:].sum(axis=1) == pytest.approx(1)
    assert (p[:, 3:].argmax(axis=1) == second[:, 0]).mean() > 0.9


def test_a_choice_without_training_rows_keeps_a_little_probability():
    features, targets = clusters(200, choices=2)
    log_p = Head.fit(features, targets, GROUPS, 1.0).log_probabilities(features)
    assert np.exp(log_p[:, 2]) == pytest.approx(1e-4 / 3, rel=0.01)


def test_rows_that_all_have_one_choice_are_no_error():
    features, _ = clusters(20)
    log_p = Head.fit(features, np.zeros((20, 1), int), GROUPS, 1.0).log_probabilities(features)
    assert (log_p.argmax(axis=1) == 0).all()


def test_a_feature_on_another_scale_is_heard_when_features_are_standardized():
    features, targets = clusters(300, spread=0.2)
    features = np.hstack([features, np.random.default_rng(0).normal(scale=1e4, size=(300, 1))]).astype(
        np.float32
    )
    deaf, hearing = (Head.fit(features, targets, GROUPS, 10.0, standardize=how) for how in (False, True))
    assert mean_loss(hearing.log_probabilities(features), targets, GROUPS) < 0.2
    assert mean_loss(deaf.log_probabilities(features), targets, GROUPS) > 0.5


def test_rows_are_scored_by_heads_that_have_not_seen_them():
    features, _ = clusters(200)
    targets = np.random.default_rng(3).integers(3, size=(200, 1))  # nothing to learn
    strength, log_p = cross_fitted(features, targets, GROUPS, np.arange(200) % 5)
    assert strength <= 1.0
    assert mean_loss(log_p, targets, GROUPS) == pytest.approx(np.log(3), abs=0.05)


def test_the_strength_fits_the_task():
    clear, _ = cross_fitted(*clusters(300, spread=0.2), GROUPS, np.arange(300) % 5)
    noisy, _ = cross_fitted(*clusters(300, spread=4.0), GROUPS, np.arange(300) % 5)
    assert clear > noisy
