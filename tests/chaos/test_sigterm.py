"""What Kubernetes, YARN and spot instances do: SIGTERM, and then SIGKILL. Of runs in MLflow, none stays open."""

import os
import signal
import subprocess
import sys
import time

import mlflow
import pytest

from tests.chaos.log import chunks

DEADLINE = 240


@pytest.fixture
def store(tmp_path, new_mlflow_store, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address := new_mlflow_store(tmp_path))
    return mlflow.MlflowClient(tracking_uri=address)


def kill_behind_a_chunk(table, number):
    """Starts a pass, sends the signal when it has staged something, and returns its exit status."""
    driver = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.driver", str(table)],
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    before, began = chunks(table), time.monotonic()
    while chunks(table) == before and driver.poll() is None and time.monotonic() - began < DEADLINE:
        time.sleep(0.05)
    os.kill(driver.pid, number)
    return driver.wait(DEADLINE)


def test_a_terminated_pass_merges_what_it_staged_and_ends_its_run_and_that_of_the_killed_one(
    spark, tmp_path, store
):
    table = tmp_path / "table"
    spark.sql(
        f"CREATE TABLE delta.`{table}` USING DELTA AS SELECT id, concat('fresh ', id) AS text FROM range(20000)"
    )
    assert kill_behind_a_chunk(table, signal.SIGKILL) == -signal.SIGKILL
    assert kill_behind_a_chunk(table, signal.SIGTERM) == 128 + signal.SIGTERM
    labeled = spark.sql(f"SELECT count(*) FROM delta.`{table}` WHERE verdict = 'fresh'").first()[0]
    assert 0 < labeled < 20000
    (staging,) = table.glob("_sparklabel/verdict_label-*")
    assert spark.sql(f"SELECT * FROM delta.`{staging}`").count() == 0
    runs = store.search_runs([store.get_experiment_by_name("sparklabel").experiment_id])
    assert [run.info.status for run in runs] == ["KILLED", "KILLED"]
