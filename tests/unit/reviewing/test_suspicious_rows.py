"""Rows whose label the live probe finds unlikely."""

import numpy as np

from sparklabel.reviewing.asking.suspicious_rows import SuspiciousRows, least_likely
from sparklabel.reviewing.probe.scores import Scores
from sparklabel.tasks import multilabel
from tests.unit.reviewing.reviews import TASK


def scores(probabilities, learned_from=30):
    """Of each row, how probable "good" is."""
    good = np.array(probabilities, np.float32)
    best = np.where((good >= 0.5)[:, None], [[0, 1]], [[1, 0]]).astype(np.int16)
    first = np.maximum(good, 1 - good)
    n = len(good)
    return Scores(
        hashes=tuple(f"h{number}" for number in range(n)), best=best,
        probability=np.stack([first, 1 - first], axis=1), margin=2 * first - 1, order=np.arange(n, dtype=np.int32),
        featured=n, learned_from=learned_from,
    )  # fmt: skip


def suspicious(labels, task=TASK):
    return SuspiciousRows(task.answer_mode, labels.get)


def test_the_least_likely_labels_come_first():
    labels = {"h0": "good", "h1": "good", "h2": "good", "h3": "bad"}
    assert suspicious(labels).find(scores([0.4, 0.1, 0.9, 0.8])) == ["h1", "h3", "h0"]


def test_a_row_without_a_label_is_not_suspicious():
    assert suspicious({"h0": None}).find(scores([0.1])) == []


def test_a_label_that_scores_do_not_keep_counts_as_impossible():
    assert least_likely(scores([0.6, 0.9]), np.array([7, 7], np.int16)) == [1, 0]


def test_the_probe_must_have_learned_from_thirty_answers():
    assert suspicious({"h0": "good"}).find(scores([0.1], learned_from=29)) == []


def test_a_task_with_several_choices_a_row_has_none():
    task = multilabel("tone", inputs="text", labels=["good", "bad"])
    assert suspicious({"h0": ["good"]}, task).find(scores([0.1])) == []


def test_new_scores_are_looked_at_anew():
    found = suspicious({"h0": "good", "h1": "good"})
    assert (found.find(scores([0.1, 0.9])), found.find(scores([0.9, 0.1]))) == (["h0"], ["h1"])
