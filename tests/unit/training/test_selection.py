"""Which students are chosen, by probabilities written out."""

import numpy as np
import pytest

from sparklabel.training.call import CLASSIFIER, LORA
from sparklabel.training.selection import WITH_ENCODER, Selection

ROWS = 200
TARGETS = np.tile([[0], [1]], (ROWS // 2, 1))


def student(right, sure=0.8):
    """Log-probabilities [N, 2] of a student that is right on the rows of which `right` says so."""
    is_right = np.array([right(row) for row in range(ROWS)])
    p = np.where(is_right, sure, 1 - sure)
    of_first = np.where(TARGETS[:, 0] == 0, p, 1 - p)
    return np.log(np.stack([of_first, 1 - of_first], axis=1))


GOOD = student(lambda row: row % 10 > 0, 0.9)
BAD = student(lambda row: True, 0.5)
OTHER = student(lambda row: row % 10 != 5, 0.9)
"""As good as GOOD, and wrong on other rows."""


def selection(classifier, with_encoder, lora):
    found = {CLASSIFIER: classifier, WITH_ENCODER: with_encoder, LORA: lora}
    return Selection.of(found, TARGETS, (2,))


@pytest.mark.parametrize(
    ("classifier", "with_encoder", "lora", "chosen", "tunes"),
    [
        pytest.param(GOOD, BAD, BAD, [CLASSIFIER], False, id="the classifier"),
        pytest.param(BAD, GOOD, BAD, [CLASSIFIER], True, id="the one with its encoder"),
        pytest.param(BAD, BAD, GOOD, [LORA], False, id="LoRA"),
        pytest.param(GOOD, BAD, OTHER, [CLASSIFIER, LORA], False, id="both, which err on different rows"),
        pytest.param(GOOD, GOOD, GOOD, [CLASSIFIER], False, id="the cheapest of equal ones"),
    ],
)
def test_the_better_ones_are_chosen(classifier, with_encoder, lora, chosen, tunes):
    found = selection(classifier, with_encoder, lora)
    assert (sorted(found.weights), found.tune_encoder) == (chosen, tunes)


def test_a_classifier_that_reads_hidden_states_has_to_be_better_by_more_than_chance():
    slightly = student(lambda row: row % 10 > 0, 0.91)
    better = student(lambda row: True, 0.9)
    for classifier, tunes in ((slightly, True), (better, False)):
        found = {CLASSIFIER: classifier, WITH_ENCODER: OTHER, LORA: BAD}
        assert Selection.of(found, TARGETS, (2,), reads_states=True).tune_encoder == tunes


def test_a_classifier_is_judged_with_lora_and_not_alone():
    errs_where_lora_does_not = student(lambda row: row % 10 not in (5, 6), 0.9)
    found = selection(classifier=GOOD, with_encoder=errs_where_lora_does_not, lora=GOOD)
    assert found.fits[WITH_ENCODER].accuracy < found.fits[CLASSIFIER].accuracy
    assert (sorted(found.weights), found.tune_encoder) == ([CLASSIFIER, LORA], True)


def test_a_selection_says_how_right_each_was():
    assert str(selection(GOOD, BAD, OTHER)) == (
        "on 200 validation answers classifier 90.0%, classifier with its encoder 50.0%, lora 90.0%, both 90.0%: "
        "classifier and lora chosen"
    )
    assert str(selection(BAD, GOOD, BAD)).endswith(": classifier with its encoder chosen")
