"""A finished training that could not be registered is not done again."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from sparklabel import classification
from sparklabel.language_model import TrainingConfig, TrainingSummary
from sparklabel.table.human_answers import HumanAnswer, HumanAnswers
from sparklabel.training.control import RunControl
from sparklabel.training.finished_training import kept_adapter
from sparklabel.training.job import TrainingOutcome

OUTCOME = TrainingOutcome(
    TrainingSummary(8, 64, 0.5, 1000, 2.0, 1.0, 4096, TrainingConfig(epochs=2, top_layers=3)), 1, 0.75
)


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A job that writes an adapter, and counts how often it trains. Its cache is empty."""
    monkeypatch.setenv("SPARKLABEL_CACHE", str(tmp_path))
    answer = HumanAnswer(("a text",), "fresh", None)
    made = SimpleNamespace(
        task=classification("verdict", "text", ["fresh", "rotten"]), base=SimpleNamespace(identity="base"),
        base_record={"source": "here"}, answers=HumanAnswers((answer,), (), {}), config=TrainingConfig(), own="",
        trained=0,
    )  # fmt: skip

    def train(trainer, folder, run, progress):
        made.trained += 1
        (folder / "adapter").mkdir()
        (folder / "adapter" / "adapter_model.safetensors").write_bytes(b"weights")
        return OUTCOME

    made.train = train
    return made


def test_the_same_training_is_found_finished_with_its_figures(job):
    first, second = kept_adapter(job, None, None, RunControl()), kept_adapter(job, None, None, RunControl())
    assert job.trained == 1
    assert second == first
    assert second[1] == OUTCOME


def test_other_answers_are_another_training(job):
    kept_adapter(job, None, None, RunControl())
    job.answers = HumanAnswers((HumanAnswer(("a text",), "rotten", None),), (), {})
    kept_adapter(job, None, None, RunControl())
    assert job.trained == 2


def test_what_was_registered_is_trained_anew(job):
    kept_adapter(job, None, None, RunControl())[0].remove()
    kept_adapter(job, None, None, RunControl())
    assert job.trained == 2


def test_only_the_models_files_are_registered(job, tmp_path):
    kept_adapter(job, None, None, RunControl())[0].copy_files(tmp_path / "to")
    assert [path.name for path in (tmp_path / "to").rglob("*") if path.is_file()] == [
        "adapter_model.safetensors"
    ]


def test_a_training_that_fails_leaves_nothing(job):
    def fail(trainer, folder, run, progress):
        raise ValueError("out of memory")

    train, job.train = job.train, fail
    with pytest.raises(ValueError, match="out of memory"):
        kept_adapter(job, None, None, RunControl())
    job.train = train
    assert kept_adapter(job, None, None, RunControl())[1] == OUTCOME


def test_equal_candidates_keep_their_own_files(job):
    first, _ = kept_adapter(job, None, None, RunControl())
    job.own = "another run"
    assert kept_adapter(job, None, None, RunControl())[0].folder != first.folder


def test_one_that_waits_for_an_equal_training_can_be_ended(job):
    control, found = RunControl(), []
    control.end.ask("it was canceled")

    def train(trainer, folder, run, progress):
        with ThreadPoolExecutor(1) as pool:
            found.append(pool.submit(kept_adapter, job, None, None, control).exception())
        return OUTCOME

    job.train = train
    kept_adapter(job, None, None, RunControl())
    assert "it was canceled" in str(found[0])
