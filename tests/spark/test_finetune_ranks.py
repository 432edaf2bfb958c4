"""`finetune` with several processes, in barrier stages of a local session: to its end, whatever is lost on the way."""

import os
import signal
import threading

import pytest

import sparklabel as sl
from sparklabel import registry
from sparklabel.errors import SetupError, TrainingInterrupted
from sparklabel.language_model import TrainingConfig
from sparklabel.training import attempts
from tests.rank_processes import rank_processes, wait_for_checkpoint
from tests.tone_table import TONE, make_tone_table

RECIPE = TrainingConfig(top_layers=3, epochs=3, batch_size=16, learning_rate=5e-3)
STEPS = 27
NO_MINUTES = 1e-9

pytestmark = pytest.mark.usefixtures("mlflow_store")


@pytest.fixture(scope="module")
def name(spark):
    """A labeled table with 180 answers, of which about a fifth is held out."""
    name = "default.many_ranks"
    spark.sql(f"DROP TABLE IF EXISTS {name}")
    make_tone_table(spark, name, 180)
    yield name
    spark.sql(f"DROP TABLE {name}")


@pytest.fixture
def finetune(spark, name, tiny_model, tmp_path):
    def run(**options):
        defaults = {
            "num_processes": 2,
            "checkpoints": str(tmp_path),
            "checkpoint_minutes": NO_MINUTES,
            "config": RECIPE,
        }
        return sl.finetune(
            spark, name, TONE, key="id", base=str(tiny_model), registered_name=f"tone-{tmp_path.name}",
            progress=False, **defaults | options,
        )  # fmt: skip

    return run


def when_a_checkpoint_is_there(root, act, attempt=1):
    """Calls `act` once the attempt has written one, in a thread."""

    def watch():
        wait_for_checkpoint(root, attempt)
        act()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def logged(report):
    import mlflow

    history = mlflow.MlflowClient().get_metric_history(report.run_id, "loss")
    return [metric.step for metric in history]


def test_two_ranks_train_what_is_judged_and_registered(finetune, tmp_path):
    report = finetune()
    assert (report.processes, report.attempts, report.steps) == (2, 1, STEPS)
    assert logged(report) == list(range(1, STEPS + 1))
    assert "2 processes" in str(report)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_rank_costs_the_steps_since_the_last_checkpoint(finetune, tmp_path, monkeypatch):
    monkeypatch.setattr(attempts, "_LOOK_SECONDS", 5.0)  # so that its steps are first seen when it is dead
    when_a_checkpoint_is_there(tmp_path, lambda: os.kill(max(rank_processes()), signal.SIGKILL))
    report = finetune()
    assert (report.processes, report.attempts, report.steps) == (2, 2, STEPS)
    assert logged(report) == list(range(1, STEPS + 1))
    assert "2 processes, 2 attempts" in str(report)
    assert rank_processes() == {}


@pytest.mark.parametrize(
    ("before", "after", "sent", "ends_with"),
    [(2, 1, signal.SIGINT, KeyboardInterrupt), (1, 2, signal.SIGTERM, SystemExit)],
)
def test_a_training_that_was_interrupted_goes_on_in_the_same_call(
    finetune, tmp_path, before, after, sent, ends_with
):
    when_a_checkpoint_is_there(tmp_path, lambda: os.kill(os.getpid(), sent))
    with pytest.raises(ends_with):
        finetune(num_processes=before)
    assert rank_processes() == {}
    reached = max(int(folder.name.rpartition("-")[2]) for folder in tmp_path.glob("*/*/step-*"))
    report = finetune(num_processes=after)
    assert 0 < reached < STEPS
    assert logged(report) == list(range(1, STEPS + 1))


def test_an_error_beside_the_ranks_ends_them_and_the_same_call_goes_on(finetune, tmp_path, monkeypatch):
    def full(*_, **__):
        raise SetupError("MLflow is full.")

    with monkeypatch.context() as patch:
        patch.setattr(registry.Run, "log_metrics", full)
        with pytest.raises(SetupError, match="full"):
            finetune()
    assert rank_processes() == {}
    assert list(tmp_path.glob("*/*/step-*"))
    report = finetune()
    assert logged(report) == list(range(1, STEPS + 1))


def test_what_is_lost_after_the_adapter_was_saved_costs_nothing(finetune, monkeypatch):
    def lost(*arguments, **options):
        run_ranks(*arguments, **options)
        raise TrainingInterrupted("An executor was lost.")

    run_ranks = attempts.run_ranks
    monkeypatch.setattr(attempts, "run_ranks", lost)
    report = finetune()
    assert (report.attempts, report.steps) == (1, STEPS)


def test_attempts_that_get_nowhere_end(finetune, tmp_path, monkeypatch):
    def lost(*_, **__):
        raise TrainingInterrupted("A rank was lost.")

    monkeypatch.setattr(attempts, "run_ranks", lost)
    with pytest.raises(TrainingInterrupted, match="3 attempts in a row ended this way"):
        finetune()


def test_it_goes_on_with_those_that_are_left(finetune, monkeypatch):
    def lost(*_, **__):
        monkeypatch.setattr(attempts, "rank_slots", lambda *_: 1)
        monkeypatch.setattr(attempts, "run_ranks", run_ranks)
        raise TrainingInterrupted("An executor was lost.")

    run_ranks = attempts.run_ranks
    monkeypatch.setattr(attempts, "run_ranks", lost)
    monkeypatch.setattr(attempts, "_SLOT_SECONDS", 0.0)
    report = finetune(min_processes=1)
    assert (report.processes, report.attempts, report.steps) == (1, 2, STEPS)


def test_it_does_not_go_on_with_too_few(finetune, monkeypatch):
    def lost(*_, **__):
        monkeypatch.setattr(attempts, "rank_slots", lambda *_: 1)
        raise TrainingInterrupted("An executor was lost.")

    monkeypatch.setattr(attempts, "run_ranks", lost)
    monkeypatch.setattr(attempts, "_SLOT_SECONDS", 0.0)
    with pytest.raises(TrainingInterrupted, match="Slots that are left: 1; min_processes=2"):
        finetune()
