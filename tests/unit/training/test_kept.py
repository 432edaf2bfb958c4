"""A finished training that could not be registered is not done again."""

from types import SimpleNamespace

import pytest

from sparklabel import classification
from sparklabel.language_model import TrainingConfig, TrainingSummary
from sparklabel.table.human_answers import HumanAnswer, HumanAnswers
from sparklabel.training.job import TrainingOutcome
from sparklabel.training.kept import keep_training

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
        base_record={"source": "here"}, answers=HumanAnswers((answer,), (), {}), config=TrainingConfig(), trained=0,
    )  # fmt: skip

    def train(trainer, folder, run, progress):
        made.trained += 1
        (folder / "adapter").mkdir()
        (folder / "adapter" / "adapter_model.safetensors").write_bytes(b"weights")
        return OUTCOME

    made.train = train
    return made


def test_the_same_training_is_found_finished_with_its_figures(job):
    first, second = keep_training(job, None, None, None), keep_training(job, None, None, None)
    assert job.trained == 1
    assert second == first
    assert second.outcome == OUTCOME


def test_other_answers_are_another_training(job):
    keep_training(job, None, None, None)
    job.answers = HumanAnswers((HumanAnswer(("a text",), "rotten", None),), (), {})
    keep_training(job, None, None, None)
    assert job.trained == 2


def test_what_was_registered_is_trained_anew(job):
    keep_training(job, None, None, None).forget()
    keep_training(job, None, None, None)
    assert job.trained == 2


def test_only_the_models_files_are_registered(job, tmp_path):
    keep_training(job, None, None, None).copy_files(tmp_path / "to")
    assert [path.name for path in (tmp_path / "to").rglob("*") if path.is_file()] == [
        "adapter_model.safetensors"
    ]


def test_a_training_that_fails_leaves_nothing(job):
    def fail(trainer, folder, run, progress):
        raise ValueError("out of memory")

    train, job.train = job.train, fail
    with pytest.raises(ValueError, match="out of memory"):
        keep_training(job, None, None, None)
    job.train = train
    assert keep_training(job, None, None, None).outcome == OUTCOME
