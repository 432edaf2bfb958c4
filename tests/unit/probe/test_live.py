"""The live probe: learned again and again from a few answers."""

import numpy as np
import pytest

from sparklabel.classifiers.classifier import HIDDEN, SENTENCE
from sparklabel.probe.live import LiveProbe, blocks

ROWS, LABELS = 300, 4
RANDOM = np.random.default_rng(0)
TARGETS = RANDOM.integers(LABELS, size=(ROWS, 1))
FOLDS = np.arange(ROWS) % 5


def features(spread, seed):
    random = np.random.default_rng(seed)
    centers = random.normal(size=(LABELS, 8))[TARGETS[:, 0]]
    return (centers + random.normal(scale=spread, size=(ROWS, 8))).astype(np.float16)


def learned(read, count=100, groups=(), targets=TARGETS):
    probe = LiveProbe(groups, sum(groups) or LABELS)
    probe.learn({name: found[:count] for name, found in read.items()}, targets[:count], FOLDS[:count])
    return probe


def right(probe, read):
    log_p = probe.log_probabilities({name: found[100:] for name, found in read.items()})
    return float((log_p.argmax(axis=1) == TARGETS[100:, 0]).mean())


def test_a_few_answers_teach_it():
    read = {SENTENCE: features(0.4, 1)}
    assert right(learned(read, 12), read) > 0.7
    assert right(learned(read), read) > 0.9


def test_its_probabilities_sum_to_one():
    read = {SENTENCE: features(0.4, 1)}
    assert np.exp(learned(read).log_probabilities(read)).sum(axis=1) == pytest.approx(1)


def test_before_it_has_learned_all_choices_are_equal():
    assert np.exp(LiveProbe((), LABELS).log_probabilities({SENTENCE: features(0.4, 1)})) == pytest.approx(
        0.25
    )


def test_names_are_known_before_any_answer():
    names = np.random.default_rng(1).normal(size=(LABELS, 8)).astype(np.float32)
    read = {SENTENCE: features(0.4, 1)}  # around the names
    assert right(LiveProbe((), LABELS, names), read) > 0.8


def test_a_label_that_nobody_has_given_is_known_by_its_name():
    names = np.random.default_rng(1).normal(size=(LABELS, 8)).astype(np.float32)
    read, given = {SENTENCE: features(0.4, 1)}, TARGETS[:, 0] < LABELS - 1
    probe = LiveProbe((), LABELS, names)
    probe.learn({SENTENCE: read[SENTENCE][given]}, TARGETS[given], FOLDS[given])
    assert probe.strengths
    assert right(probe, read) > 0.85


def test_the_better_source_counts():
    good, bad = features(0.4, 1), features(9.0, 2)
    for read in ({SENTENCE: good, HIDDEN: bad}, {SENTENCE: bad, HIDDEN: good}):
        assert right(learned(read), read) > 0.85


def test_what_was_chosen_is_kept_until_there_are_two_fifths_more_answers():
    read = {SENTENCE: features(1.0, 1)}
    probe = learned(read, 19)
    assert probe.strengths == {}
    fits = []
    for count in (20, 27, 28):
        probe.learn({SENTENCE: read[SENTENCE][:count]}, TARGETS[:count], FOLDS[:count])
        fits.append((dict(probe.strengths), dict(probe.weights)))
    assert fits[0] == fits[1] != fits[2]


@pytest.mark.parametrize("folds", [np.zeros(60, np.int64), np.arange(60) % 5])
def test_what_cannot_be_chosen_is_not(folds):
    """All answers are in one fold, or each label is."""
    targets = folds[:, None] if folds.any() else TARGETS[:60]
    read = {SENTENCE: features(0.4, 1)}
    probe = LiveProbe((), 5)
    probe.learn({SENTENCE: read[SENTENCE][:60]}, targets, folds)
    assert probe.strengths == {}
    assert np.isfinite(probe.log_probabilities(read)).all()


def test_one_label_alone_is_learned():
    read = {SENTENCE: features(0.4, 1)}
    probe = learned(read, 12, targets=np.full((ROWS, 1), 2))
    assert set(probe.log_probabilities(read).argmax(axis=1)) == {2}


def test_each_label_of_several_is_a_question_of_its_own():
    targets = np.hstack([TARGETS % 2, TARGETS // 2])
    read = {SENTENCE: features(0.3, 1)}
    log_p = learned(read, groups=(2, 2), targets=targets).log_probabilities(read)
    assert np.exp(log_p).reshape(ROWS, 2, 2).sum(axis=2) == pytest.approx(1)
    assert (log_p.reshape(ROWS, 2, 2).argmax(axis=2) == targets).all(axis=1).mean() > 0.9


def test_blocks_leave_no_row_out():
    found = blocks(100_000, 77)
    assert [start for start, _ in found[1:]] == [end for _, end in found[:-1]]
    assert (found[0][0], found[-1][1]) == (0, 100_000)
    assert blocks(2, 10**7) == [(0, 1), (1, 2)]
