"""The training job on two executors, each with a GPU that is none: it is refused there, and trains on CPUs to its end
whatever is killed: the driver, a rank, a Python worker, an executor.

All four with CHAOS set (`make chaos`); the driver and an executor in an ordinary run.
"""

import os
import re
import signal
import threading
from pathlib import Path

import psutil
import pytest

from tests.cluster.test_lost_tasks import kill_executor
from tests.rank_processes import rank_processes, wait_for_checkpoint
from tests.tone_table import TONE, make_tone_table

JOB = Path(__file__).parents[2] / "jobs" / "finetune.py"
SECONDS = 900


@pytest.fixture
def table(spark, tmp_path):
    """A labeled table with 300 answers."""
    path = str(tmp_path / "table")
    make_tone_table(spark, f"delta.`{path}`", 300)
    return path


def test_a_gpu_that_torch_does_not_find_is_named(
    cluster, table, tiny_model, tmp_path, new_mlflow_store, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", new_mlflow_store(tmp_path))
    task = tmp_path / "tone.yaml"
    task.write_text(TONE.to_yaml())
    run = cluster.submit(
        JOB, "--table", table, "--task", task, "--key", "id", "--base", tiny_model, "--num-processes", "2",
        "--checkpoints", tmp_path / "runs",
    )  # fmt: skip
    assert run.returncode == 2, run.stderr
    assert re.search(r"Rank \d failed: Spark gave a rank on .* a GPU, and torch finds none", run.stderr), (
        run.stderr
    )


def test_whatever_is_killed_the_training_comes_to_its_end(
    cluster, table, tiny_model, tmp_path, new_mlflow_store, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", new_mlflow_store(tmp_path))
    task, runs, said = tmp_path / "tone.yaml", tmp_path / "runs", tmp_path / "said"
    task.write_text(TONE.to_yaml())

    def start():
        return cluster.start(
            JOB, "--table", table, "--task", task, "--key", "id", "--base", tiny_model, "--num-processes", "2",
            "--checkpoints", runs, "--checkpoint-minutes", "1e-9", "--no-use-gpu", conf=(), said=said,
        )  # fmt: skip

    job = start()
    wait_for_checkpoint(runs, 1)
    for process in psutil.Process(job.pid).children(recursive=True):
        process.kill()
    job.wait(SECONDS)
    kills = [
        lambda: os.kill(min(rank_processes()), signal.SIGKILL),
        lambda: os.kill(max(rank_processes().values()), signal.SIGKILL),
        lambda: kill_executor(cluster.folder / "forty"),
    ]
    if "CHAOS" not in os.environ:
        del kills[:-1]

    def kill_each():
        for attempt, kill in enumerate(kills, 2):
            wait_for_checkpoint(runs, attempt)
            kill()

    threading.Thread(target=kill_each, daemon=True).start()
    job = start()
    assert job.wait(SECONDS) == 0, said.read_text()
    assert "which an earlier call reached" in said.read_text()
    assert f"2 processes, {len(kills) + 1} attempts" in said.read_text()
    assert "gate: " in said.read_text()
    assert (rank_processes(), list(runs.iterdir())) == ({}, [])
