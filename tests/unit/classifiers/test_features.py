"""What a classifier reads of a row."""

from functools import partial

import numpy as np
import pytest

from sparklabel import classification, matching
from sparklabel.classifiers.features import mean_vectors, name_log_probabilities, row_parts, sentence_features
from sparklabel.engines.fake import ByteTokenizer
from sparklabel.prompts import RowTokens


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
    task = classification("t", ["title", "text", "note"], ["x", "y"])
    assert sentence_features(task, [["a", "c", "b"]], Letters()).tolist() == [[1, 0, 0, 0, 0, 1, 0, 1, 0]]


def test_two_inputs_are_compared():
    task = classification("t", ["title", "text"], ["x", "y"])
    assert sentence_features(task, [["a", "c"]], Letters()).tolist() == [[1, 0, 0, 0, 0, 1, 1, 0, 1, 0, 0, 0]]


def test_two_records_are_compared():
    task = matching("t", left=["name", "maker"], right=["title"])
    [found] = sentence_features(task, [["a", "a", "b"]], Letters())
    assert found.tolist() == [1, 0, 0, 0, 1, 0, 1, 1, 0, 0, 0, 0]


def test_several_inputs_are_like_a_label_together_and_blank_ones_not_at_all():
    for blank in ([], [" "]):  # two inputs, which are compared as well, and three
        rows = [["a", "b", *blank], ["c", " ", *blank]]
        task = classification("t", ["title", "text", "note"][: len(rows[0])], ["x", "y"])
        found = mean_vectors(sentence_features(task, rows, Letters()), rows)
        assert found == pytest.approx(np.array([[0.7071, 0.7071, 0], [0, 0, 1]]), abs=1e-4)


def test_of_a_record_that_is_read_as_one_text_its_whole_length_counts():
    task = matching("t", left=["name", "maker"], right=["title"])
    read = RowTokens(ByteTokenizer(), partial(row_parts, task)).shorter(10)
    assert [
        prompt.truncated for prompt in read.encode([["abcd", "efgh", "x"], ["abcdefg", "hijk", "x"]])
    ] == [
        False,
        True,
    ]


def test_a_row_is_most_like_the_label_that_says_the_same():
    names = Letters().embed(["a", "b", "c"])
    log_p = name_log_probabilities(Letters().embed(["aab", "ccc"]), names)
    assert log_p.argmax(axis=1).tolist() == [0, 2]
    assert np.exp(log_p).sum(axis=1) == pytest.approx(1)
