"""What a classifier reads of a row."""

import numpy as np
import pytest

from sparklabel import classification, matching
from sparklabel.classifiers.features import name_log_probabilities, sentence_features


class Letters:
    """An encoder whose vectors are how often a text has an a, a b and a c."""

    identity = "letters"

    def embed(self, texts):
        counts = np.array([[text.count(letter) for letter in "abc"] for text in texts], np.float32)
        return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)


def test_one_input_is_its_vector():
    task = classification("t", "text", ["x", "y"])
    assert sentence_features(task, [[" ab "], ["c"]], Letters()) == pytest.approx(
        np.array([[0.7071, 0.7071, 0], [0, 0, 1]]), abs=1e-4
    )


def test_several_inputs_are_their_vectors_in_a_row():
    task = classification("t", ["title", "text"], ["x", "y"])
    assert sentence_features(task, [["a", "c"]], Letters()).tolist() == [[1, 0, 0, 0, 0, 1]]


def test_two_records_are_compared():
    task = matching("t", left=["name", "maker"], right=["title"])
    [found] = sentence_features(task, [["a", "a", "b"]], Letters())
    assert found.tolist() == [1, 0, 0, 0, 1, 0, 1, 1, 0, 0, 0, 0]


def test_a_row_is_most_like_the_label_that_says_the_same():
    names = Letters().embed(["a", "b", "c"])
    log_p = name_log_probabilities(Letters().embed(["aab", "ccc"]), names)
    assert log_p.argmax(axis=1).tolist() == [0, 2]
    assert np.exp(log_p).sum(axis=1) == pytest.approx(1)
