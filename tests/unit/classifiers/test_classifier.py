"""Classifiers: heads and other sources, pooled by what they are worth on rows that no head has seen."""

import numpy as np
import pytest

from sparklabel.classifiers.classifier import HIDDEN, NAMES, SENTENCE, fit_classifier, group_targets
from sparklabel.confidence.prior import normalized

GROUPS = (3,)
ROWS = 400
RANDOM = np.random.default_rng(0)
TARGETS = RANDOM.integers(3, size=(ROWS, 1))
FOLDS = np.arange(ROWS) % 5


def features(spread, seed):
    random = np.random.default_rng(seed)
    return (random.normal(size=(3, 8))[TARGETS[:, 0]] + random.normal(scale=spread, size=(ROWS, 8))).astype(
        np.float32
    )


def test_sources_that_help_each_other_are_pooled():
    read = {SENTENCE: features(2.0, 1), HIDDEN: features(2.0, 2)}
    both, fit = fit_classifier(read, TARGETS, GROUPS, FOLDS)
    assert set(both.sources) == {SENTENCE, HIDDEN}
    _, alone = fit_classifier({SENTENCE: read[SENTENCE]}, TARGETS, GROUPS, FOLDS)
    assert fit.accuracy > alone.accuracy
    assert fit.loss < alone.loss


def test_hidden_states_are_not_read_where_they_do_not_help():
    read = {SENTENCE: features(0.3, 1), HIDDEN: features(50.0, 2)}
    classifier, _ = fit_classifier(read, TARGETS, GROUPS, FOLDS)
    assert classifier.sources == (SENTENCE,)


def test_what_needs_no_head_is_weighed_beside_those_that_do():
    logits = np.random.default_rng(3).normal(size=(ROWS, 3))
    logits[np.arange(ROWS), TARGETS[:, 0]] += 2
    read, given = {SENTENCE: features(2.0, 1)}, {NAMES: normalized(logits)}
    classifier, _ = fit_classifier(read | given, TARGETS, GROUPS, FOLDS)
    assert set(classifier.sources) == {SENTENCE, NAMES}
    log_p = classifier.log_probabilities(read | given)
    assert np.exp(log_p).sum(axis=1) == pytest.approx(1)
    assert (log_p.argmax(axis=1) == TARGETS[:, 0]).mean() > 0.8


def test_a_classifier_knows_how_little_it_knows():
    noise = np.random.default_rng(4).normal(size=(ROWS, 8)).astype(np.float32)
    _, fit = fit_classifier({SENTENCE: noise}, TARGETS, GROUPS, FOLDS)
    assert fit.accuracy < 0.45
    assert fit.loss == pytest.approx(np.log(3), abs=0.06)


def test_answers_with_several_questions_are_right_if_all_are():
    second = (features(0.5, 1)[:, :1] > 0).astype(int)
    targets = np.hstack([TARGETS, second])
    _, fit = fit_classifier({SENTENCE: features(0.5, 1)}, targets, (3, 2), FOLDS)
    _, first = fit_classifier({SENTENCE: features(0.5, 1)}, TARGETS, (3,), FOLDS)
    assert fit.accuracy <= first.accuracy


def test_targets_are_numbered_within_their_group():
    assert group_targets([(0, 4), (2, 3)], (3, 2)).tolist() == [[0, 1], [2, 0]]
