"""Runs, and stores that do not work. Against a real MLflow on SQLite."""

import json
import signal
import socket
from pathlib import Path

import mlflow
import pytest

from sparklabel import registry
from sparklabel.errors import SetupError
from sparklabel.registry import other_runs

# MLflow's own use of SQLAlchemy; nothing that we can change.
pytestmark = pytest.mark.usefixtures("store")


def test_a_run_keeps_parameters_metrics_tags_and_the_table_it_read():
    with registry.start_run("training", experiment="tests", tags={"task": "verdict"}) as run:
        run.log_params({f"p{n}": n for n in range(120)})
        for step in range(700):
            run.log_metrics({"loss": 1 / (step + 1), "lr": 0.1, "unknown": None}, step)
        run.set_tags({"gate": "promoted"})
        run.log_table("reviews", location="/data/reviews", version=3)
    stored = mlflow.MlflowClient().get_run(run.id)
    assert (stored.info.status, stored.info.run_name) == ("FINISHED", "training")
    assert (len(stored.data.params), stored.data.params["p119"]) == (120, "119")
    assert sorted(stored.data.metrics) == ["loss", "lr"]
    assert len(mlflow.MlflowClient().get_metric_history(run.id, "loss")) == 700
    assert stored.data.tags.items() >= {"task": "verdict", "gate": "promoted"}.items()
    source = json.loads(stored.inputs.dataset_inputs[0].dataset.source)
    assert (source["path"], source["delta_table_version"]) == ("/data/reviews", 3)


def test_a_store_that_cannot_keep_files_is_found_out_before_there_are_any(tmp_path):
    mlflow.MlflowClient().create_experiment("nowhere", artifact_location="nosuch://me:secret@bucket/files")
    with registry.start_run("training", experiment="nowhere") as run:
        for refused in (lambda: run.log_text("task.json", "{}"), lambda: run.log_folder(tmp_path)):
            with pytest.raises(SetupError, match="cannot keep files at nosuch://bucket/files") as caught:
                refused()
            assert "boto3" in caught.value.hint


def test_an_error_leaves_a_failed_run():
    def fail(run):
        run.log_metrics({"loss": 7.0}, step=3)
        raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"), registry.start_run("training", experiment="tests") as run:
        fail(run)
    found = mlflow.MlflowClient().get_run(run.id)
    assert (found.info.status, found.data.metrics) == ("FAILED", {"loss": 7.0})


def test_an_interrupted_run_is_killed():
    with pytest.raises(KeyboardInterrupt), registry.start_run("training", experiment="tests") as run:
        raise KeyboardInterrupt
    assert mlflow.MlflowClient().get_run(run.id).info.status == "KILLED"


def test_a_terminated_run_is_killed():
    with pytest.raises(SystemExit), registry.start_run("training", experiment="tests") as run:
        signal.raise_signal(signal.SIGTERM)
    assert mlflow.MlflowClient().get_run(run.id).info.status == "KILLED"


def test_the_run_of_a_pass_that_was_killed_is_ended_and_no_other_one():
    client = mlflow.MlflowClient()
    number = client.create_experiment("passes")
    tags = [{registry.PASS_TAG: "dead"}, {registry.PASS_TAG: "alive"}]
    dead, alive = (client.create_run(number, tags=one).info.run_id for one in tags)
    registry.end_run_of("dead", "passes")
    assert [client.get_run(run).info.status for run in (dead, alive)] == ["KILLED", "RUNNING"]


def test_a_run_inside_a_users_run_is_its_child_and_leaves_it_active():
    with mlflow.start_run() as outer, registry.start_run("training", experiment="tests") as run:
        assert mlflow.active_run().info.run_id == outer.info.run_id
    stored = mlflow.MlflowClient().get_run(run.id)
    assert stored.data.tags["mlflow.parentRunId"] == outer.info.run_id


def test_a_users_experiment_goes_first(monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    with registry.start_run("training", experiment="tests") as run:
        pass
    assert mlflow.MlflowClient().get_experiment(run.experiment_id).name == "mine"


def test_jobs_that_make_an_experiment_at_once_share_it(monkeypatch):
    client, make = mlflow.MlflowClient, mlflow.MlflowClient.create_experiment

    def outrun(self, name, **options):
        make(client(), name, **options)
        return make(self, name, **options)

    monkeypatch.setattr(client, "create_experiment", outrun)
    with registry.start_run("training", experiment="both") as run:
        assert mlflow.get_experiment(run.experiment_id).name == "both"


def test_artifacts_lie_beside_the_store(store):
    with registry.start_run("training", experiment="a / b") as run:
        pass
    assert Path(run.artifact_uri).is_relative_to(store / "mlruns")


def test_a_store_that_mlflow_refuses_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path}/mlruns")
    with pytest.raises(SetupError, match=r"MLflow at file:.*/mlruns failed") as caught:
        registry.resolve("models:/verdict@champion")
    assert "MLFLOW_TRACKING_URI" in caught.value.hint


def test_a_server_that_is_not_there_is_named_at_once_without_its_password(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:1")
    with pytest.raises(SetupError, match=r"No tracking server answers at http://127\.0\.0\.1:1"):
        registry.champion("verdict")


def test_a_sqlite_file_that_cannot_be_opened_is_named_before_mlflow_tries_for_minutes(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////proc/nowhere/mlflow.db")
    with pytest.raises(SetupError, match="unable to open database file") as caught:
        registry.connect()
    assert type(caught.value.__cause__).__name__ == "OperationalError"


def test_a_database_without_its_driver_is_named_with_the_package(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as database:
        port = database.getsockname()[1]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"mysql+pymysql://me:secret@127.0.0.1:{port}/mlflow")
        with pytest.raises(SetupError, match="needs a package: No module named 'pymysql") as caught:
            registry.connect()
    assert "secret" not in str(caught.value)
    assert "pymysql for mysql+pymysql://" in caught.value.hint


def test_a_database_that_does_not_answer_is_named_at_once(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:secret@127.0.0.1:1/mlflow")
    with pytest.raises(SetupError, match=r"No tracking server answers at postgresql://127\.0\.0\.1:1/mlflow"):
        registry.connect()


def test_an_artifact_store_without_its_driver_is_named_when_something_is_written():
    mlflow.MlflowClient().create_experiment("in a bucket", artifact_location="gs://bucket/mlflow")
    with (
        pytest.raises(SetupError, match=r"cannot keep files at gs://bucket/.*google"),
        registry.start_run("training", experiment="in a bucket") as run,
    ):
        run.log_text("task.json", "{}")
    assert mlflow.MlflowClient().get_run(run.id).info.status == "FAILED"


def test_a_deleted_experiment_is_named_with_what_restores_it():
    client = mlflow.MlflowClient()
    number = client.create_experiment("gone")
    client.delete_experiment(number)
    with pytest.raises(SetupError, match="experiment 'gone' was deleted") as caught:
        registry.start_run("training", experiment="gone").__enter__()
    assert f"--experiment-id {number}" in caught.value.hint


def test_an_error_of_the_block_is_not_taken_for_the_stores():
    with pytest.raises(OSError, match="mine"), registry.start_run("training", experiment="tests"):
        raise OSError("mine")


def test_scheduled_runs_are_found_in_every_experiment(store, monkeypatch):
    monkeypatch.setattr(other_runs, "_EXPERIMENTS_AT_ONCE", 1)
    runs = [
        registry.schedule_run("r", experiment=f"e{number}", tags={"mark": "paged"}) for number in range(3)
    ]
    registry.kill_scheduled_runs("mark", "paged")
    assert {mlflow.MlflowClient().get_run(run).info.status for run in runs} == {"KILLED"}


def test_an_empty_tracking_uri_is_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    mlflow.set_tracking_uri(None)
    assert not registry.has_store()
    assert list(tmp_path.iterdir()) == []


def test_the_runs_of_passes_whose_process_was_killed_are_ended(store):
    host, pid, _ = registry.this_process().rsplit(":", 2)
    processes = [
        registry.this_process(),
        f"{host}:{pid}:earlier",
        f"{host}:4194305:gone",
        f"elsewhere:{pid}:x",
    ]
    runs = [
        registry.schedule_run("pass", experiment="processes", tags={registry.PROCESS_TAG: process})
        for process in processes
    ]
    for run in runs:
        registry.set_run_status(run, "RUNNING")
    registry.end_runs_of_dead_processes("processes")
    client = mlflow.MlflowClient()
    assert [client.get_run(run).info.status for run in runs] == ["RUNNING", "KILLED", "KILLED", "RUNNING"]
