"""In which order people are asked."""

import numpy as np
import pytest

from sparklabel.reviewing.probe.ordering import kmeans_start, margin, queue_order


def test_the_start_has_a_row_of_every_cluster_the_largest_first():
    random = np.random.default_rng(0)
    clusters = np.repeat([0, 1, 2], [10, 60, 30])
    vectors = (np.eye(3)[clusters] * 10 + random.normal(scale=0.1, size=(100, 3))).astype(np.float32)
    assert clusters[kmeans_start(vectors, 3)].tolist() == [1, 2, 0]


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_of_few_rows_all_are_the_start(rows):
    vectors = np.random.default_rng(0).normal(size=(rows, 4)).astype(np.float32)
    assert sorted(kmeans_start(vectors)) == list(range(rows))


def test_equal_vectors_are_one_row_of_the_start():
    assert len(kmeans_start(np.ones((50, 4), np.float32))) == 1


def test_the_margin_is_the_lead_of_the_first_choice():
    log_p = np.log([[0.7, 0.2, 0.1], [0.4, 0.2, 0.4]])
    assert margin(log_p) == pytest.approx([0.5, 0.0])


def test_of_several_questions_the_most_open_one_counts():
    log_p = np.log([[0.9, 0.1, 0.55, 0.45], [0.8, 0.2, 0.99, 0.01]])
    assert margin(log_p, (2, 2)) == pytest.approx([0.1, 0.6])


def test_a_task_of_one_label_is_never_open():
    assert margin(np.zeros((2, 1))).tolist() == [1, 1]


def test_rows_of_the_start_come_first_and_closed_ones_never():
    margins = np.array([0.1, 0.9, 0.5, 0.2], np.float32)
    is_open = np.array([True, True, True, False])
    assert queue_order(margins, is_open).tolist() == [0, 2, 1]
    assert queue_order(margins, is_open, [1, 3]).tolist() == [1, 0, 2]
