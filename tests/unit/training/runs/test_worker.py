"""The loop of a worker: what it begins, hands over, and leaves alone."""

import threading
from collections import Counter

import pytest
from mlflow import MlflowClient

import sparklabel as sl
from sparklabel import registry
from sparklabel.errors import SetupError, TableError
from sparklabel.training.runs import active_run, outcomes, worker
from sparklabel.training.runs.capacity import Capacity
from sparklabel.training.runs.claims import WorkerQueue
from sparklabel.training.runs.worker import Worker


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(worker, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(worker, "_POLL_SECONDS", 0.02)
    monkeypatch.setattr(worker, "_STORE_SECONDS", 0.0)
    monkeypatch.setattr(active_run, "_LOOK_SECONDS", 0.02)


@pytest.fixture
def work(queue):
    return lambda execute, **options: Worker(queue, execute, Capacity(lambda _: 8), **options).run()


def status(run_id):
    return MlflowClient().get_run(run_id).info.status


def test_runs_are_worked_at_until_none_waits(submit, work):
    submit(search=sl.grid(rank=[4, 8]))
    worked = work(lambda claimed, control: claimed.run.params["rank"] / 10)
    assert [(run.state, run.accuracy) for run in worked] == [
        ("complete", 0.4),
        ("complete", 0.8),
        ("complete", 0.8),
    ]


def test_what_was_trained_for_the_submission_is_in_its_mlflow_run(submit, work, queue):
    submit(search=sl.grid(rank=[4, 8]))
    work(lambda claimed, control: claimed.run.params["rank"] / 10)
    parent = MlflowClient().get_run(queue.submission("tone-1").mlflow_run)
    assert (parent.info.status, parent.data.params) == (
        "FINISHED",
        {"best_run": "tone-1/2", "best.rank": "8"},
    )


def test_an_error_that_no_attempt_can_mend_fails_one_run_and_no_other(submit, work):
    def execute(claimed, control):
        if claimed.submission.name == "bad":
            raise TableError("There is no such table.", hint="Name another.")
        return 0.5

    bad, good = submit(name="bad")[0], submit(name="good")[0]
    worked = work(execute)
    assert [(run.state, run.reason) for run in worked] == [
        ("failed", "There is no such table. Name another."), ("complete", ""),
    ]  # fmt: skip
    assert (status(bad.mlflow_run), status(good.mlflow_run)) == ("FAILED", "FINISHED")


@pytest.mark.parametrize("error", [SetupError("A package is missing."), OSError("No space left on device")])
def test_an_error_that_may_pass_is_followed_by_another_attempt(submit, work, error):
    begun = Counter()

    def execute(claimed, control):
        begun[claimed.run.name] += 1
        if begun[claimed.run.name] == 1:
            raise error
        return 0.5

    submit()
    [run] = work(execute)
    assert (run.state, run.attempts) == ("complete", 2)


def test_a_worker_that_is_interrupted_hands_its_runs_over_when_they_have_ended(submit, work, queue):
    """Not before: another worker would begin what this one still trains."""
    training, states = threading.Event(), []

    def execute(claimed, control):
        training.set()
        while not control.end.asked:
            pass
        states.append(queue.runs()[0].state)
        control.end.check()

    def fail():
        training.wait()
        raise KeyboardInterrupt

    submit(max_retries=0)
    one = Worker(queue, execute, Capacity(lambda _: 8))
    one._waits_for_others = lambda: False
    begin = one._go_on
    one._go_on = lambda pool, is_ending: begin(pool, is_ending) and (fail() if one._active else True)
    with pytest.raises(KeyboardInterrupt):
        one.run()
    assert states == ["running"]
    [run] = queue.runs()
    assert (run.state, run.reason, status(run.mlflow_run)) == (
        "waiting",
        "its worker was asked to end",
        "SCHEDULED",
    )
    assert status(queue.submission("tone-1").mlflow_run) == "SCHEDULED"


def test_a_submission_whose_mlflow_run_is_gone_is_left_to_others(submit, work, queue):
    submit(name="gone", priority=1)
    submit(name="there")
    MlflowClient().delete_run(queue.submission("gone").mlflow_run)
    worked = work(lambda claimed, control: 0.5)
    assert [(run.name, run.state) for run in worked] == [("gone/1", "waiting"), ("there/1", "complete")]


def test_a_run_whose_worker_died_and_that_is_not_begun_again_ends_in_mlflow_too(submit, work, queue):
    from tests.unit.training.runs.test_queue import claim, fall_silent

    [run] = submit(max_retries=0)
    claimed = claim(queue)
    registry.set_run_status(run.mlflow_run, "RUNNING")
    fall_silent(queue, claimed)
    work(lambda claimed, control: 0.5)
    assert (status(run.mlflow_run), status(queue.submission("tone-1").mlflow_run)) == ("FAILED", "FAILED")


def test_what_mlflow_did_not_hear_it_hears_later(submit, work, queue, monkeypatch):
    def silent(*_):
        raise SetupError("MLflow does not answer.")

    [run] = submit()
    with monkeypatch.context() as patch:
        patch.setattr(outcomes.registry, "has_run", lambda _: True)
        patch.setattr(worker.Outcomes, "_tell", silent)
        work(lambda claimed, control: 0.5)
    assert status(run.mlflow_run) == "SCHEDULED"
    work(lambda claimed, control: 0.5)
    assert (status(run.mlflow_run), status(queue.submission("tone-1").mlflow_run)) == ("FINISHED", "FINISHED")
    assert queue.unrecorded() == []


def test_runs_that_ended_unheard_are_told_a_few_seconds_at_each_look_and_noted_together(
    submit, queue, monkeypatch
):
    submit(search=sl.grid(rank=[4, 8, 16]))
    queue.cancel("tone-1", None)
    heard = outcomes.Outcomes(queue)
    monkeypatch.setattr(outcomes, "_CATCH_UP_SECONDS", -1.0)
    heard.catch_up()
    assert len(queue.unrecorded()) == 4
    monkeypatch.setattr(outcomes, "_CATCH_UP_SECONDS", 60.0)
    reads = []
    monkeypatch.setattr(queue, "runs", lambda name: reads.append(name) or WorkerQueue.runs(queue, name))
    heard.catch_up()
    assert (reads, queue.unrecorded()) == (["tone-1"], [])
    assert {status(run.mlflow_run) for run in WorkerQueue.runs(queue)} == {"KILLED"}


def test_what_was_kept_for_another_attempt_is_removed_when_the_queue_has_the_result(submit, work, queue):
    states = []

    def execute(claimed, control):
        control.at_the_end(lambda: states.append(queue.runs()[0].state))
        return 0.5

    submit()
    work(execute)
    assert states == ["complete"]


def test_a_result_that_came_too_late_does_not_count(submit, queue):
    from tests.unit.training.runs.test_queue import claim, fall_silent

    submit()
    lost = claim(queue)
    fall_silent(queue, lost)
    again = claim(queue)
    assert not outcomes.Outcomes(queue).complete(lost, 0.9)
    queue.complete(again, 0.5)
    assert [(run.state, run.accuracy) for run in queue.runs()] == [("complete", 0.5)]


def test_canceled_runs_end_a_submission_as_killed():
    states = [outcomes.RunState.COMPLETE, outcomes.RunState.CANCELED, outcomes.RunState.FAILED]
    runs = [type("Run", (), {"state": state})() for state in states]
    assert outcomes.end_of(runs) == "KILLED"
    assert outcomes.end_of(runs[:1]) == "FINISHED"
    assert outcomes.end_of(runs[::2]) == "FAILED"
