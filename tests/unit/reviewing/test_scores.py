"""What the probe finds, as it is sent, and read again as suggestions."""

import numpy as np
import pytest

from sparklabel.reviewing.probe.scores import MOST_LABELS, Scores, best_choices, suggestion
from sparklabel.tasks import classification, matching, multilabel, rating


def scored(task, probabilities):
    mode = task.answer_mode
    best, probability = best_choices(np.log([probabilities]), mode.groups)
    scores = Scores(
        hashes=("a",), best=best, probability=probability, margin=np.zeros(1, np.float32),
        order=np.zeros(1, np.int32), featured=1, learned_from=9,
    )  # fmt: skip
    return suggestion(mode, scores, 0)


def test_the_five_most_probable_labels_come_in_order():
    found = scored(classification("t", "text", list("abcdef")), [0.1, 0.4, 0.05, 0.2, 0.22, 0.03])
    assert (found.value, [value for value, _ in found.choices]) == ("b", list("bedac"))
    assert found.confidence == pytest.approx(0.4)


def test_a_match_is_suggested_as_a_truth_value():
    assert scored(matching("t", "one", "other"), [0.3, 0.7]).value is False


def test_a_rating_is_suggested_as_a_point_of_the_scale():
    assert scored(rating("t", "text", (1, 3)), [0.2, 0.5, 0.3]).value == 2


def test_all_labels_that_apply_are_suggested_in_the_tasks_order():
    task = multilabel("t", "text", ["x", "y", "z"])
    found = scored(task, [0.6, 0.4, 0.1, 0.9, 0.8, 0.2])
    assert (found.value, [value for value, _ in found.choices]) == (["x", "z"], ["z", "x", "y"])
    assert found.confidence == pytest.approx(0.6 * 0.9 * 0.8)


def test_a_single_label_may_not_apply():
    assert scored(multilabel("t", "text", ["x"]), [0.2, 0.8]).value == []


def test_of_many_labels_the_most_probable_ones_are_kept():
    labels = 30
    yes = np.linspace(0.1, 0.9, labels)
    best, probability = best_choices(np.log(np.ravel(np.column_stack([yes, 1 - yes])))[None], (2,) * labels)
    assert best[0].tolist() == [2 * (labels - 1 - n) for n in range(MOST_LABELS)]
    assert probability[0] == pytest.approx(yes[::-1][:MOST_LABELS])
