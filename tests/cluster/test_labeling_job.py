"""The labeling job on a cluster whose executors have GPUs: one pass, and what the table, Spark's record of its tasks
and the engines' logs say of it."""

import fcntl
import json
import os
import re
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

JOB = Path(__file__).parents[2] / "jobs" / "label.py"
ROWS = 40
TASK = """
kind: classification
name: verdict
inputs: [text]
labels: [fresh, rotten]
"""


@pytest.fixture(scope="module")
def job(spark, cluster, tmp_path_factory):
    """The pass that the tests look at: its output, its table, the events of Spark, and the log of each engine."""
    folder = tmp_path_factory.mktemp("job")
    table, task = folder / "reviews", folder / "verdict.yaml"
    task.write_text(TASK)
    spark.sql(
        f"CREATE TABLE delta.`{table}` USING DELTA AS "
        f"SELECT id, concat(if(id % 2 = 0, 'fresh ', 'rotten '), id) AS text FROM range({ROWS})"
    )
    run = cluster.submit(
        JOB, "--table", table, "--task", task, "--key", "id", "--engine", "fake", "--option", "shared=true"
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    engines = sorted((cluster.folder / f"sparklabel-{os.getuid()}").iterdir())
    assert all(map(ended, engines))
    events = [
        json.loads(line) for file in cluster.folder.glob("app-*") for line in file.read_text().splitlines()
    ]
    return SimpleNamespace(table=table, said=run.stdout, engines=engines, events=events)


def ended(endpoint):
    """Waits for an engine to end, as it does with its executor: its lock is free then."""
    with open(endpoint / "alive", "ab") as file:
        waiting = threading.Thread(target=fcntl.flock, args=(file, fcntl.LOCK_EX), daemon=True)
        waiting.start()
        waiting.join(60)
        return not waiting.is_alive()


def test_the_job_labels_the_table_in_place(spark, job):
    assert f"labeled {ROWS} rows" in job.said
    wrong = "NOT (verdict <=> split(text, ' ')[0] AND verdict_label.status <=> 'ok')"
    assert spark.sql(f"SELECT count(*), count_if({wrong}) FROM delta.`{job.table}`").first()[:] == (ROWS, 0)


def test_each_executors_gpu_has_one_engine_which_is_started_once(job):
    assert [engine.name for engine in job.engines] == ["40", "GPU-zero"]
    assert not [engine for engine in job.engines if (engine / "log.1").exists()]


def test_the_address_that_spark_gave_is_the_gpu_that_the_engine_sees(job):
    seen = [re.findall(r"CUDA_VISIBLE_DEVICES=(.*)", (engine / "log").read_text()) for engine in job.engines]
    assert seen == [["40"], ["GPU-zero"]]


def test_both_engines_answered_and_every_row_was_asked_once(job):
    rows = [
        int(*re.findall(r"rows requested: (\d+)", (engine / "log").read_text())) for engine in job.engines
    ]
    assert all(rows)
    assert sum(rows) == ROWS


def test_the_tasks_of_an_executor_run_concurrently_and_share_its_engine(job):
    assert {executor: most_at_once(job.events, executor) for executor in ("0", "1")} == {"0": 2, "1": 2}


def most_at_once(events, executor):
    """How many tasks that ran a Python function the executor had at the same time."""
    stages = [e["Stage Info"] for e in events if e["Event"] == "SparkListenerStageSubmitted"]
    python = {stage["Stage ID"] for stage in stages if "ArrowEvalPython" in json.dumps(stage["RDD Info"])}
    ended = [e for e in events if e["Event"] == "SparkListenerTaskEnd" and e["Stage ID"] in python]
    tasks = [e["Task Info"] for e in ended if e["Task Info"]["Executor ID"] == executor]
    times = [(task["Launch Time"], task["Finish Time"]) for task in tasks]
    return max((sum(start <= moment < end for start, end in times) for moment, _ in times), default=0)


def test_on_a_cluster_the_job_keeps_clear_of_settings_for_one_machine(job):
    given = next(e["Spark Properties"] for e in job.events if e["Event"] == "SparkListenerEnvironmentUpdate")
    assert given["spark.master"].startswith("spark://")
    assert "spark.driver.bindAddress" not in given
