"""Claims, signs of life, retries and cancelations, by workers that may be dead: each run is completed once."""

import sqlite3
import time
from types import SimpleNamespace

import pytest
import sqlalchemy
from mlflow import MlflowClient

import sparklabel as sl
from sparklabel import registry
from sparklabel.errors import SetupError
from sparklabel.training.runs import claims
from sparklabel.training.runs.capacity import Admission
from sparklabel.training.runs.claims import DELETED, TAKEN_OVER, WorkerQueue
from sparklabel.training.runs.records import RunState
from sparklabel.training.runs.submit import SUBMISSION_TAG


def anything(submission):
    return Admission.TAKE


def claim(queue):
    return queue.claim(anything, "host:1")


def states(queue, name="tone-1"):
    return [run.state for run in queue.runs(name)]


def fall_silent(queue, claimed):
    """As if its worker had died an hour ago."""
    with queue._storage.engine.begin() as connection:
        connection.execute(
            sqlalchemy.text(
                "UPDATE trial_heartbeats SET heartbeat = '2020-01-01 00:00:00' WHERE trial_id = :t"
            ),
            {"t": claimed.trial},
        )


def test_a_run_is_claimed_once(submit, queue, address):
    submit()
    assert claim(queue).run.name == "tone-1/1"
    assert claim(WorkerQueue(address)) is None
    assert states(queue) == [RunState.RUNNING]


def test_urgent_runs_come_first_then_old_ones(submit, queue):
    submit(name="old")
    submit(name="new")
    submit(name="urgent", priority=1)
    assert [claim(queue).submission.name for _ in range(3)] == ["urgent", "old", "new"]


def test_a_run_that_does_not_fit_lets_others_pass_or_not(submit, queue):
    submit(name="large", priority=1, num_processes=2, checkpoints="/shared")
    submit(name="small")

    def claimed(otherwise):
        return queue.claim(lambda s: Admission.TAKE if s.processes == 1 else otherwise, "host:1")

    assert claimed(Admission.WAIT) is None
    assert claimed(Admission.SKIP).submission.name == "small"


def test_the_final_run_waits_for_all_candidates(submit, queue):
    submit(search=sl.grid(rank=[4, 8]))
    first, second = claim(queue), claim(queue)
    queue.complete(first, 0.5)
    assert claim(queue) is None
    queue.fail(second, "a wrong table", retry=False)
    assert claim(queue).run.kind == "final"


def test_a_silent_worker_loses_its_run_and_its_result_does_not_count(submit, queue):
    submit()
    lost = claim(queue)
    fall_silent(queue, lost)
    assert states(queue) == [RunState.LOST]
    again = claim(queue)
    assert (again.run.name, again.run.attempts) == ("tone-1/1", 2)
    assert "silent" in queue.beat(lost, 1, 2)
    assert queue.complete(lost, 0.9) == TAKEN_OVER
    assert queue.complete(again, 0.8) == ""
    [run] = queue.runs()
    assert (run.state, run.accuracy, run.attempts) == (RunState.COMPLETE, 0.8, 2)


def test_a_worker_that_dies_between_claim_and_first_sign_loses_its_run_too(submit, queue):
    submit()
    fall_silent(queue, claim(queue))
    assert claim(queue).run.attempts == 2


def test_a_run_is_begun_again_as_often_as_it_may_be(submit, queue):
    submit(max_retries=1)
    for _ in range(2):
        queue.fail(claim(queue), "executors were lost", retry=True)
    assert claim(queue) is None
    assert [(run.state, run.reason) for run in queue.runs()] == [(RunState.FAILED, "executors were lost")]


def test_what_cannot_succeed_is_not_begun_again(submit, queue):
    submit()
    queue.fail(claim(queue), "no such table", retry=False)
    assert claim(queue) is None


def test_an_attempt_that_was_only_put_back_does_not_count(submit, queue):
    submit(max_retries=0)
    for _ in range(3):
        queue.fail(claim(queue), "its worker was asked to end", retry=True, counts=False)
    assert claim(queue).run.attempts == 4


def test_a_run_that_is_begun_again_keeps_what_tpe_drew(submit, queue):
    submit(search=sl.tpe(trials=1, learning_rate=(1e-5, 1e-3, "log"), rank=(4, 64)))
    drawn = claim(queue)
    queue.fail(drawn, "a rank was lost", retry=True)
    assert claim(queue).run.params == drawn.run.params
    assert 1e-5 <= drawn.run.params["learning_rate"] <= 1e-3


def test_workers_that_begin_together_draw_different_candidates(submit, address):
    submit(search=sl.tpe(trials=4, learning_rate=(1e-5, 1e-3, "log")))
    drawn = {claim(WorkerQueue(address)).run.params["learning_rate"] for _ in range(4)}
    assert len(drawn) == 4


def test_two_that_queue_the_next_attempt_at_once_make_one(submit, queue, address, monkeypatch):
    submit()
    other = WorkerQueue(address, beat=1, grace=2)
    queue.fail(claim(queue), "a rank was lost", retry=True)
    before = queue._reader.chains("tone-1")  # both have looked before either has written
    for one in (queue, other):
        with monkeypatch.context() as patch:
            patch.setattr(one._reader, "chains", lambda name: before)
            one._revive("tone-1")
    claimed = [claim(queue), claim(other), claim(queue)]
    assert [one.run.attempts for one in claimed if one] == [2]
    queue.complete(next(filter(None, claimed)), 0.5)
    assert claim(other) is None
    assert states(queue) == [RunState.COMPLETE]


def test_a_run_says_how_long_its_worker_has_been_silent(submit, queue):
    submit(search=sl.grid(rank=[8]))
    fall_silent(queue, claim(queue))
    [lost, final] = queue.runs()
    assert (lost.state, final.silence) == (RunState.LOST, None)
    assert lost.heartbeat == f"{lost.silence / 60:,.0f} min ago"
    assert "last heartbeat  " in lost.details
    assert lost.heartbeat in str(queue.runs())


def test_a_canceled_run_that_waits_is_never_begun(submit, queue, address):
    submit()
    assert [run.state for run in sl.cancel_run("tone-1", queue=address)] == [RunState.CANCELED]
    assert claim(queue) is None


def test_a_canceled_run_that_runs_hears_it_with_its_next_sign(submit, queue, address):
    submit()
    claimed = claim(queue)
    assert not queue.beat(claimed, 1, 5)
    assert [run.reason for run in sl.cancel_run("tone-1/1", queue=address)] == ["it is being canceled"]
    assert queue.beat(claimed, 2, 5) == "it was canceled"
    queue.fail(claimed, "it was canceled", retry=False)
    [run] = queue.runs()
    assert (run.state, run.step, run.steps) == (RunState.CANCELED, 2, 5)


def test_a_canceled_run_whose_worker_died_can_be_retried_at_once(submit, queue, address):
    submit()
    claimed = claim(queue)
    sl.cancel_run("tone-1/1", queue=address)
    fall_silent(queue, claimed)
    assert states(queue) == [RunState.LOST]
    assert [run.state for run in sl.retry_run("tone-1/1", queue=address)] == [RunState.WAITING]


def test_a_canceled_run_whose_worker_dies_stays_canceled(submit, queue, address):
    submit()
    claimed = claim(queue)
    sl.cancel_run("tone-1/1", queue=address)
    fall_silent(queue, claimed)
    assert [(run.state, run.reason) for run in queue.runs()] == [(RunState.LOST, "it is being canceled")]
    assert claim(queue) is None
    assert [(run.state, run.reason) for run in queue.runs()] == [(RunState.CANCELED, "it was canceled")]


def test_a_failed_run_can_be_retried_by_hand_as_often_as_at_first(submit, queue, address):
    submit(max_retries=0)
    queue.fail(claim(queue), "no such table", retry=False)
    assert [run.state for run in sl.retry_run("tone-1", queue=address)] == [RunState.WAITING]
    queue.fail(claim(queue), "no such table", retry=False)
    assert states(queue) == [RunState.FAILED]


def test_a_canceled_search_can_be_retried(submit, queue, address):
    submit(search=sl.grid(rank=[4, 8]))
    sl.cancel_run("tone-1", queue=address)
    sl.retry_run("tone-1", queue=address)
    assert states(queue) == [RunState.WAITING] * 3


def test_a_database_may_have_studies_of_others(queue, submit):
    import optuna

    optuna.create_study(storage=queue._storage, study_name="theirs")
    submit()
    assert queue.names() == ["tone-1"]
    assert claim(queue).submission.name == "tone-1"


def test_what_another_optuna_made_is_refused(queue, address):
    with queue._storage.engine.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE alembic_version SET version_num = 'v99.0.0.a'"))
    with pytest.raises(SetupError, match="another version of Optuna"):
        WorkerQueue(address)


def test_a_database_of_another_program_is_left_as_it_is(tmp_path):
    file = tmp_path / "theirs.db"
    with sqlite3.connect(file) as theirs:
        theirs.execute("CREATE TABLE customers (name TEXT)")
    theirs.close()
    before = file.read_bytes()
    with pytest.raises(SetupError, match="tables of another program"):
        WorkerQueue(f"sqlite:///{file}")
    assert file.read_bytes() == before


def test_a_failed_attempt_is_followed_by_a_pause_that_grows(submit, queue, monkeypatch):
    monkeypatch.setattr(claims, "_PAUSE_SECONDS", 30.0)
    now = 1e9
    monkeypatch.setattr(queue._reader, "now", lambda: now)
    submit()
    for pause in (30, 60, 120):
        queue.fail(claim(queue), "a store did not answer", retry=True)
        assert claim(queue) is None
        now += pause - 1
        assert claim(queue) is None
        now += 1
    assert claim(queue).run.attempts == 4


def test_the_databases_clock_is_read_in_utc(queue):
    assert queue._reader.now() == pytest.approx(time.time(), abs=60)


def test_what_was_only_put_back_does_not_lengthen_the_pause(submit, queue, monkeypatch):
    now = 1e9
    monkeypatch.setattr(claims, "_PAUSE_SECONDS", 30.0)
    monkeypatch.setattr(queue._reader, "now", lambda: now)
    submit()
    for _ in range(5):
        queue.fail(claim(queue), "MLflow did not answer", retry=True, counts=False)
    queue.fail(claim(queue), "a store did not answer", retry=True)
    now += 30
    assert claim(queue)


def test_a_run_that_is_retried_by_hand_does_not_pause(submit, queue, address, monkeypatch):
    monkeypatch.setattr(claims, "_PAUSE_SECONDS", 30.0)
    submit(max_retries=0)
    queue.fail(claim(queue), "the disk is full", retry=True)
    sl.retry_run("tone-1", queue=address)
    assert claim(queue)


def test_submissions_at_their_end_are_read_once_until_one_is_retried(submit, queue, address, monkeypatch):
    submit()
    queue.fail(claim(queue), "a wrong table", retry=False)
    [run] = queue.unrecorded()
    queue.note_recorded([run])
    assert claim(queue) is None
    monkeypatch.setattr(queue._reader, "chains", lambda name: pytest.fail(f"{name} was read"))
    assert (claim(queue), queue.waiting(), queue.unrecorded()) == (None, [], [])
    monkeypatch.undo()
    sl.retry_run("tone-1", queue=address)
    assert claim(queue).run.attempts == 2


def test_the_final_run_trains_what_was_best_when_it_was_first_begun(submit, queue, address):
    submit(search=sl.grid(rank=[4, 8]))
    first, second = claim(queue), claim(queue)
    queue.complete(first, 0.5)
    queue.fail(second, "a wrong table", retry=False)
    final = claim(queue)
    sl.retry_run("tone-1/2", queue=address)
    queue.complete(claim(queue), 0.9)
    queue.fail(final, "a rank was lost", retry=True)
    again = claim(queue)
    assert (again.run.chosen, again.run.params) == ("tone-1/1", {"rank": 4})


def test_a_search_without_a_complete_candidate_ends(submit, queue):
    submit(search=sl.grid(rank=[4]))
    queue.fail(claim(queue), "a wrong table", retry=False)
    assert claim(queue) is None
    assert "No candidate" in queue.runs()[1].reason
    assert states(queue) == [RunState.FAILED] * 2


def test_a_seed_that_no_sampler_takes_is_no_trouble(submit, queue):
    submit(search=sl.tpe(trials=1, seed=2**70, rank=(4, 64)))
    assert 4 <= claim(queue).run.params["rank"] <= 64


def test_a_candidate_can_be_retried_when_the_final_run_had_nothing_to_be_judged_on(submit, queue, address):
    submit(search=sl.tpe(trials=12, rank=(4, 64)))
    sl.cancel_run("tone-1/12", queue=address)
    for _ in range(11):
        queue.complete(claim(queue), 0.5)
    queue.complete(claim(queue), None)
    sl.retry_run("tone-1/12", queue=address)
    assert claim(queue).run.params


def test_a_submission_that_is_deleted_ends_its_run_and_no_other(submit, queue):
    import optuna

    submit(name="gone")
    submit(name="there")
    gone, there = claim(queue), claim(queue)
    optuna.delete_study(study_name="gone", storage=queue._storage)
    assert "deleted" in queue.beat(gone, 1, 2)
    assert queue.complete(gone, 0.5) == DELETED
    assert queue.beat(there, 1, 2) == ""


def test_who_cancels_and_dies_leaves_no_run_that_runs_for_ever(submit, queue, monkeypatch):
    submit()
    [chain] = queue._reader.chains("tone-1")
    assert queue._becomes_running(chain.last._trial_id)  # and is killed before it says what it wanted
    fall_silent(queue, SimpleNamespace(trial=chain.last._trial_id))
    assert claim(queue).run.name == "tone-1/1"


def test_a_submit_that_was_killed_can_be_canceled_and_its_name_used_again(submit, queue, address):
    queue.create("half")
    with pytest.raises(SetupError, match="If no process is submitting it now"):
        submit(name="half")
    with pytest.raises(SetupError, match="no submission 'half'"):
        sl.cancel_run("half/1", queue=address)
    scheduled = registry.schedule_run("half", experiment="tests", tags={SUBMISSION_TAG: "half"})
    sl.cancel_run("half", queue=address)
    assert MlflowClient().get_run(scheduled).info.status == "KILLED"
    assert submit(name="half")[0].name == "half/1"


def test_a_run_that_was_retried_by_hand_has_no_reason_to_wait(submit, queue, address):
    submit()
    sl.cancel_run("tone-1", queue=address)
    sl.retry_run("tone-1", queue=address)
    assert queue.runs()[0].reason == ""
