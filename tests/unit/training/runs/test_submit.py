"""What is submitted waits, in the queue and in MLflow; what could not be worked at is refused."""

from contextlib import contextmanager
from functools import partial

import pytest
from mlflow import MlflowClient
from mlflow.entities import RunStatus
from typer.testing import CliRunner

import sparklabel as sl
from sparklabel.cli import app
from sparklabel.errors import ModelError, SetupError, TaskError
from sparklabel.training.call import FinetuneCall
from sparklabel.training.runs import storage
from sparklabel.training.runs.queue import RunQueue
from tests.unit.training.runs.conftest import TASK


def status(run_id):
    return MlflowClient().get_run(run_id).info.status


def test_a_single_run_waits(submit):
    [run] = submit()
    assert (run.name, run.kind, run.state, run.attempts) == ("tone-1/1", "run", "waiting", 0)
    assert status(run.mlflow_run) == "SCHEDULED"


def test_a_search_is_its_candidates_and_the_final_run_of_the_best(submit):
    runs = submit(search=sl.grid(rank=[8, 16]))
    assert [run.kind for run in runs] == ["candidate", "candidate", "final"]
    assert [run.params for run in runs] == [{"rank": 8}, {"rank": 16}, {}]


def test_each_run_is_an_mlflow_run_below_the_submissions(submit):
    runs = submit(search=sl.tpe(trials=2, rank=(4, 8)), name="sweep")
    client = MlflowClient()
    found = [client.get_run(run.mlflow_run) for run in runs]
    [parent] = {run.data.tags["mlflow.parentRunId"] for run in found}
    assert client.get_run(parent).info.run_name == "sweep"
    assert [run.data.tags["sparklabel.run"] for run in found] == ["sweep/1", "sweep/2", "sweep/3"]
    assert {RunStatus.from_string(run.info.status) for run in found} == {RunStatus.SCHEDULED}


def test_names_are_the_task_and_a_number_unless_one_is_given(submit):
    assert [submit()[0].submission, submit()[0].submission] == ["tone-1", "tone-2"]
    assert submit(name="mine")[0].submission == "mine"


def test_of_two_submissions_of_one_name_the_second_is_refused(submit, address):
    submit(name="mine")
    with pytest.raises(SetupError, match="has a submission 'mine'"):
        submit(name="mine")
    assert len(sl.runs(queue=address)) == 1


def test_a_submission_that_mlflow_refuses_leaves_nothing_behind(submit, address, monkeypatch):
    from sparklabel import registry

    def fail(*_, **__):
        raise SetupError("MLflow is full.")

    with monkeypatch.context() as patch:
        patch.setattr(registry, "schedule_run", fail)
        with pytest.raises(SetupError, match="full"):
            submit(name="mine")
    assert len(sl.runs(queue=address)) == 0
    assert submit(name="mine")[0].submission == "mine"


@pytest.mark.parametrize(
    ("interrupted", "left"),
    [
        ("sparklabel.registry.schedule_run", "nothing was queued"),
        ("sparklabel.training.runs.queue.RunQueue.runs", "the runs are queued: mine"),
    ],
)
def test_an_interrupted_submission_says_what_it_left(submit, address, monkeypatch, interrupted, left):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(interrupted, interrupt)
        with pytest.raises(KeyboardInterrupt) as caught:
            submit(name="mine")
    assert caught.value.__notes__ == [left]
    assert len(sl.runs(queue=address)) == (left != "nothing was queued")


def test_the_command_says_what_is_left_where_nothing_may_be_retried(submit, address):
    submit(name="mine")
    said = CliRunner().invoke(app, ["runs", "retry", "mine", "--queue", address])
    assert said.output.startswith("nothing of mine has failed or was canceled to its end; it is as follows\n")
    assert "waiting" in said.output


def test_the_call_comes_back_as_it_was_submitted(submit, queue):
    config = sl.TrainingConfig(epochs=2)
    submit(config=config, num_processes=2, checkpoints="/shared", key=["a", "b"])
    call = FinetuneCall.from_dict(queue.submission("tone-1").call)
    assert call == FinetuneCall(
        table="support.tickets",
        task=TASK,
        key=["a", "b"],
        config=config,
        num_processes=2,
        checkpoints="/shared",
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tabel": "x"}, "no argument 'tabel'; did you mean table"),
        ({"num_processes": 0}, "num_processes=0"),
        ({"num_processes": 10**20}, "from 1 to 1024"),
        ({"num_processes": 2}, "checkpoints that all workers share"),
        ({"num_processes": 2, "checkpoints": "here"}, "not an absolute path"),
        ({"table": "some/folder"}, "is relative"),
        ({"config": {"rank": 8}}, "not a TrainingConfig"),
        ({"search": {"grid": {}}}, "neither grid"),
        ({"search": sl.grid(rank=[8]), "config": sl.TrainingConfig(rank=4)}, "rank is given by the call"),
        ({"priority": "high"}, "priority='high'"),
        ({"priority": 10**9}, "from -1000 to 1000"),
        ({"max_retries": -1}, "max_retries=-1"),
        ({"name": "a/b"}, "name='a/b'"),
        ({"queue": "runs.db"}, "queue='runs.db' is not .*\n.*queue='sqlite:///runs.db'"),
        ({"queue": 5}, "not the address of a database"),
        ({"queue": "sqlite://"}, "in memory"),
        ({"table": 5}, "table=5"),
        ({"key": 5}, "key=5"),
        ({"key": []}, r"key=\[\]"),
        ({"key": ["id", "ID"]}, "a list of different ones"),
        ({"table": " "}, "table=' ' is empty"),
        ({"column": ""}, "column='' is empty"),
        ({"force": "yes"}, "force='yes'"),
        ({"base": "./model"}, "base='./model' is a relative folder"),
        ({"search": sl.grid(base=["/model", "./other"])}, "base='./other' is a relative folder"),
        ({"search": sl.grid(base=["/a", "/b"]), "base": "/c"}, "base is given by the call"),
        ({"method": "classifier", "encoder": "./enc"}, "encoder='./enc' is a relative folder"),
        ({"method": "classifier", "use_gpu": True}, "use_gpu= says how LoRA trains"),
        ({"method": "classifier", "search": sl.grid(rank=[8, 16])}, "A search varies how LoRA trains"),
        ({"into": "out/labels"}, "is relative"),
        ({"queue": "sqlite:////nowhere/runs.db"}, "the folder /nowhere does not exist"),
        ({"queue": "nosuchdb://h/x"}, "nosuchdb"),
    ],
    ids=str,
)  # fmt: skip
def test_what_could_not_be_worked_at_is_refused(submit, options, says):
    with pytest.raises(SetupError, match=says):
        submit(**options)


def test_a_folder_that_cannot_be_written_is_named(submit, monkeypatch, address):
    @contextmanager
    def held(*_):
        raise OSError(30, "Read-only file system")
        yield

    monkeypatch.setattr(storage, "held", held)
    with pytest.raises(SetupError, match=f"The queue at {address} cannot be written: Read-only file system"):
        submit()


def test_an_unknown_call_and_what_is_no_task_and_no_name_are_refused(submit):
    with pytest.raises(SetupError, match="no call 'fintune'; did you mean finetune"):
        sl.submit("fintune", table="t", task=TASK)
    with pytest.raises(ModelError, match="registered_name='a/b'"):
        submit(registered_name="a/b")
    with pytest.raises(TaskError, match=r"not 'intent\.yaml'"):
        submit(task="intent.yaml")


@pytest.mark.parametrize(
    "given",
    [
        "postgresql://me:s3cret%21@127.0.0.1:1/runs",
        "postgresql:/me:s3cret@host/x",
        "me:s3cret@host/x",
        "postgresql://me:s3cret",
        "postgresql://me:p{s3cret}w@127.0.0.1:1/x",
    ],
)
def test_a_password_in_the_address_is_never_shown(submit, given):
    with pytest.raises(SetupError) as error:
        submit(queue=given)
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize("ask", [sl.runs, partial(sl.cancel_run, "tone-1"), partial(sl.retry_run, "tone-1")])
def test_looking_at_a_queue_that_does_not_exist_makes_none(ask, address, tmp_path):
    with pytest.raises(SetupError, match="nothing was ever submitted there"):
        ask(queue=address)
    assert not (tmp_path / "runs.db").exists()


def test_the_database_that_mlflow_would_make_is_refused(submit, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/own/../mlflow.db")
    (tmp_path / "own").mkdir()
    with pytest.raises(SetupError, match=r"mlflow\.db is MLflow's store"):
        submit(queue=f"sqlite:///{tmp_path}/mlflow.db")
    assert not (tmp_path / "mlflow.db").exists()


def test_a_queue_without_runs_says_which_it_is(queue, address):
    assert str(sl.runs(queue=address)) == f"there are no runs in the queue at {address}"


def test_a_file_may_be_called_anything(submit, tmp_path):
    address = f"sqlite+pysqlite:///{tmp_path}/a{{b}} %c.db?timeout=5"
    submit(queue=address)
    assert len(sl.runs(queue=address)) == 1
    assert (tmp_path / "a{b} %c.db").is_file()


def test_a_queue_that_cannot_be_written_is_told_at_once(submit, address, monkeypatch):
    def full(*_, **__):
        raise SetupError("The queue failed: the disk is full.")

    monkeypatch.setattr(RunQueue, "create", full)
    with pytest.raises(SetupError, match="the disk is full"):
        submit()


def test_what_is_canceled_is_killed_in_mlflow_and_scheduled_again_when_it_is_retried(submit, address):
    runs = submit(search=sl.grid(rank=[8]))
    parent = MlflowClient().get_run(runs[0].mlflow_run).data.tags["mlflow.parentRunId"]
    sl.cancel_run("tone-1", queue=address)
    assert {status(run.mlflow_run) for run in runs} | {status(parent)} == {"KILLED"}
    sl.retry_run("tone-1", queue=address)
    assert {status(run.mlflow_run) for run in runs} | {status(parent)} == {"SCHEDULED"}


def test_an_unknown_submission_is_named(submit, address):
    submit(name="intent")
    with pytest.raises(SetupError, match="did you mean intent"):
        sl.runs("intend", queue=address)
    with pytest.raises(SetupError, match="has no run 7"):
        sl.cancel_run("intent/7", queue=address)
    with pytest.raises(SetupError, match="neither a submission"):
        sl.cancel_run("intent/x", queue=address)
