"""Means over tasks, their intervals, and what the gate of an instruction tuning says of them."""

import numpy as np
import pytest

from sparklabel.training.instruction.generalization import TaskScores, generalization, judge_mixture


def scores(task, new, old, n=100, *, is_unseen=False):
    """A task of whose rows so many of a hundred are right."""
    return TaskScores(
        task=task, is_unseen=is_unseen, new=tuple(float(i % 100 < new) for i in range(n)),
        old=tuple(float(i % 100 < old) for i in range(n)),
    )  # fmt: skip


def verdict(*tasks):
    return judge_mixture(tasks, "the base")[0]


def test_each_task_counts_once_however_many_rows_it_has():
    found = generalization([scores("a", 80, 50, 1000), scores("b", 40, 50)])
    assert found.trained.gain == pytest.approx(0.10)
    assert (found.trained.accuracy_new, found.trained.accuracy_old) == pytest.approx((0.6, 0.5))
    assert found.unseen is None


def test_the_interval_over_unseen_tasks_stands_for_others():
    tasks = [scores(str(gain), 50 + gain, 50, 100_000, is_unseen=True) for gain in (0, 10, 20, 30, 40)]
    found = generalization([scores("a", 80, 50), *tasks]).unseen
    random = np.random.default_rng(1)
    means = [random.choice(np.array([0, 10, 20, 30, 40]) / 100, 5).mean() for _ in range(20_000)]
    assert found.gain == pytest.approx(0.2)
    assert (found.lower95, found.upper95) == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.015)


def test_the_rows_of_unseen_tasks_are_a_sample_too():
    equal = TaskScores(task="b", is_unseen=True, new=(1.0, 0.0) * 20, old=(0.0, 1.0) * 20)
    found = generalization([scores("a", 80, 50), equal]).unseen
    assert (found.lower95 < -0.1, found.upper95 > 0.1) == (True, True)


def test_a_model_that_is_better_at_what_it_was_taught_and_no_worse_elsewhere_is_promoted():
    found = verdict(
        scores("a", 80, 50), scores("b", 55, 55, is_unseen=True), scores("c", 40, 45, is_unseen=True)
    )
    assert found.verdict == "promoted"
    assert "on tasks that it was not taught -2.5 points over 2 tasks" in found.reason


def test_a_model_that_is_worse_at_all_unseen_tasks_is_rejected():
    unseen = [scores(name, 30, 50, is_unseen=True) for name in "bcdef"]
    assert verdict(scores("a", 80, 50), *unseen).verdict == "rejected"
    few = verdict(scores("a", 80, 50), *unseen[:4])
    assert (few.verdict, "fewer than 5 of them decide nothing" in few.reason) == ("promoted", True)


def test_a_difference_that_could_be_chance_decides_nothing():
    assert verdict(scores("a", 52, 50)).verdict == "inconclusive"


def test_without_a_task_that_was_held_out_the_reason_says_so():
    found = verdict(scores("a", 80, 50))
    assert (found.verdict, "no task was held out" in found.reason) == ("promoted", True)


def test_too_few_rows_decide_nothing():
    found = verdict(scores("a", 80, 0, 60))
    assert (found.verdict, found.reason) == (
        "inconclusive", "Only 60 held-out answers of the tasks that were taught: 100 are needed.",
    )  # fmt: skip


def test_an_engine_that_failed_decides_nothing():
    failed = TaskScores(task="b", is_unseen=True, new=(None, 1.0), old=(0.0, 1.0))
    found, means = judge_mixture([scores("a", 80, 50), failed], "the base")
    assert (found.verdict, "failed on 1 held-out rows" in found.reason) == ("inconclusive", True)
    assert [task.n for task in means.tasks] == [100, 1]
