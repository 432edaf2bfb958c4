"""Many runs and workers that die: each run is completed once, loses one step at most, and is one MLflow run.

Fifty runs with CHAOS set (`make chaos`), fewer in an ordinary run."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import mlflow
import pytest

import sparklabel as sl
from sparklabel.training.runs.claims import WorkerQueue
from tests.queue_worker import BEAT, GRACE, STEPS

TASK = sl.classification("tone", "text", ["calm", "angry"])
RUNS = 50 if "CHAOS" in os.environ else 30
_DEADLINE = 300.0


@pytest.fixture
def store(tmp_path, monkeypatch, new_mlflow_store):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", new_mlflow_store(tmp_path))
    monkeypatch.setenv("SPARKLABEL_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def start(tmp_path, store):
    """Starts a worker in a process of its own; all are dead afterwards."""
    started = []

    def run(address, seconds=0.03):
        with (tmp_path / f"worker-{len(started)}.log").open("w") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "tests.queue_worker", address, str(tmp_path), str(seconds)],
                cwd=Path(__file__).parents[2], stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        started.append(worker)
        return worker

    yield run
    for worker in started:
        with suppress(ProcessLookupError):
            worker.kill()
        worker.wait()


def until(condition, worker_logs, pause=0.1):
    """Waits, and looks again after so many seconds: a look at all runs takes time from the workers."""
    end = time.monotonic() + _DEADLINE
    while not condition():
        assert time.monotonic() < end, "\n".join(log.read_text() for log in worker_logs)
        time.sleep(pause)  # other processes are waited for


def running(queue, worker):
    """The runs that the worker has."""
    return [run for run in queue.runs() if run.state == "running" and run.worker.endswith(f":{worker.pid}")]


def stopped_in_a_run(worker, queue, databases, worker_logs):
    """Stops a worker in the middle of a run, which is returned, while it does not write: it would hold SQLite's lock
    until it goes on."""
    while True:
        until(lambda: running(queue, worker), worker_logs)
        worker.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, worker.pid, os.WSTOPPED)
        if all(map(can_be_written, databases)) and (held := running(queue, worker)):
            return held[0]
        worker.send_signal(signal.SIGCONT)
        os.waitid(os.P_PID, worker.pid, os.WCONTINUED)


def can_be_written(database):
    with closing(sqlite3.connect(database, timeout=1)) as other, suppress(sqlite3.OperationalError):
        other.execute("BEGIN IMMEDIATE")
        return True
    return False


def test_runs_are_completed_once_each_whatever_becomes_of_the_workers(tmp_path, start):
    address = f"sqlite:///{tmp_path}/runs.db"
    defaults = {"table": "support.tickets", "task": TASK, "key": "id", "queue": address}
    sl.submit("finetune", name="late", search=sl.grid(seed=list(range(RUNS - 3))), **defaults)
    sl.submit("finetune", name="urgent", priority=9, search=sl.grid(seed=[0]), **defaults)
    queue = WorkerQueue(address, beat=BEAT, grace=GRACE)

    def complete():
        return sum(run.state == "complete" for run in queue.runs())

    logs, databases = tmp_path.glob, (tmp_path / "runs.db", tmp_path / "mlflow.db")
    workers = [start(address) for _ in range(3)]
    first, second, third = workers
    # Whoever had an urgent run may have counted as dead for a moment: it is done again, first.
    until(lambda: all(run.state == "complete" for run in queue.runs("urgent")), logs("worker-*.log"))
    assert complete() < RUNS / 2
    until(lambda: complete() > 4 and running(queue, first), logs("worker-*.log"))
    stopped_in_a_run(first, queue, databases, logs("worker-*.log"))
    first.kill()
    held = stopped_in_a_run(third, queue, databases, logs("worker-*.log"))
    stopped_in_a_run(second, queue, databases, logs("worker-*.log"))
    second.kill()
    start(address)
    until(lambda: queue.runs(held.submission)[held.number - 1].attempts > 1, logs("worker-*.log"))
    third.send_signal(signal.SIGCONT)
    until(lambda: complete() == RUNS, logs("worker-*.log"), pause=2.0)

    client, runs = mlflow.MlflowClient(), queue.runs()
    assert len({run.mlflow_run for run in runs}) == RUNS
    for run in runs:
        lines = [line.split() for line in (tmp_path / run.name.replace("/", "-")).read_text().splitlines()]
        assert {int(step) for _, step in lines} == set(range(1, STEPS + 1))
        assert Counter(attempt for attempt, _ in lines).total() <= STEPS + run.attempts - 1
        logged = [metric.step for metric in client.get_metric_history(run.mlflow_run, "loss")]
        assert len(logged) == len(set(logged))
        assert client.get_run(run.mlflow_run).info.status == "FINISHED"
    assert sum(run.attempts > 1 for run in runs) >= 3


def test_a_running_run_that_is_canceled_ends_soon_and_leaves_no_process(tmp_path, start):
    address = f"sqlite:///{tmp_path}/runs.db"
    [run] = sl.submit("finetune", table="support.tickets", task=TASK, key="id", queue=address)
    worker, queue = start(address, seconds=1), WorkerQueue(address, beat=BEAT, grace=GRACE)
    until(lambda: running(queue, worker), tmp_path.glob("worker-*.log"))
    sl.cancel_run(run.name, queue=address)
    assert worker.wait(60) == 0
    assert [one.state for one in queue.runs()] == ["canceled"]
    assert mlflow.MlflowClient().get_run(run.mlflow_run).info.status == "KILLED"
