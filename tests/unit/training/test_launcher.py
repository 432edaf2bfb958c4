"""What a barrier stage of ranks must have given to be a success, and how its ranks meet."""

import json
from types import SimpleNamespace

import pytest

from sparklabel.errors import ModelError, SetupError, TrainingInterrupted
from sparklabel.language_model.training.config import TrainingConfig
from sparklabel.language_model.training.run_folder import RunFolder, TrainingSpec
from sparklabel.training import launcher
from sparklabel.training.launcher import RankResult, check_results, rank_environment


@pytest.fixture
def run(tmp_path):
    run = RunFolder.of(tmp_path, TrainingSpec("base", TrainingConfig(), 2), [])
    run.finish(run.new_attempt(), {"digest": "ab"})
    return run


def result(rank, digest="ab"):
    return RankResult(rank, "host", 9, digest, 1, "cpu")


def test_every_rank_one_digest_and_a_finished_adapter_are_a_success(run):
    check_results([result(0), result(1)], run, 1, 2)


def test_a_rank_that_says_nothing_is_none(run):
    with pytest.raises(TrainingInterrupted, match="Only 1 of 2 ranks reported that they finished"):
        check_results([result(1)], run, 1, 2)


def test_ranks_with_other_weights_are_none(run):
    with pytest.raises(ModelError, match="ended with different weights"):
        check_results([result(0), result(1, "cd")], run, 1, 2)


@pytest.mark.parametrize("facts", [None, {"digest": "cd"}])
def test_ranks_without_a_finished_adapter_of_theirs_are_none(run, facts):
    (run.attempt(1) / "DONE.json").unlink()
    if facts:
        run.finish(1, facts)
    with pytest.raises(TrainingInterrupted, match="attempt-1 has no finished adapter of theirs"):
        check_results([result(0), result(1)], run, 1, 2)


class Context:
    """Spark's, of the first of two tasks; the other one says `other`, or what the first one does."""

    def __init__(self, other=None, gpus=None):
        self._other, self._gpus = other or {}, gpus

    def partitionId(self):
        return 0

    def getTaskInfos(self):
        return [SimpleNamespace(address="127.0.0.1:4040")] * 2

    def allGather(self, text):
        return [text, json.dumps(json.loads(text) | self._other)]

    def resources(self):
        return {"gpu": SimpleNamespace(addresses=self._gpus)} if self._gpus else {}

    def cpus(self):
        return 3


def test_a_rank_meets_the_others_only_when_its_host_has_the_model(run, monkeypatch):
    met = []

    def fetch(base):
        raise ModelError("There is no such file.")

    monkeypatch.setattr(Context, "allGather", lambda self, text: met.append(text))
    monkeypatch.setattr("pyspark.BarrierTaskContext.get", Context)
    monkeypatch.setattr(launcher.registry, "fetch", fetch)
    task = launcher._task(str(run.path), None, 1, 10.0, on_gpu=False)
    with pytest.raises(ModelError, match="no such file"):
        next(task(iter([])))
    assert met == []


def test_ranks_meet_at_the_first_one():
    found = rank_environment(Context(gpus=["7"]), on_gpu=True)
    assert [found[name] for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "SPARKLABEL_THREADS")] == [
        "0", "2", "127.0.0.1", "3",
    ]  # fmt: skip
    assert found["CUDA_VISIBLE_DEVICES"] == "7"


def test_a_rank_that_shall_not_have_a_gpu_sees_none():
    assert rank_environment(Context(gpus=["7"]), on_gpu=False)["CUDA_VISIBLE_DEVICES"] == ""


def test_a_host_with_other_versions_is_named():
    with pytest.raises(SetupError, match=r"Rank 1 has sparklabel and torch \['0.0.1', '2'\], and rank 0"):
        rank_environment(Context({"versions": ["0.0.1", "2"]}), on_gpu=False)
