"""The queue of runs with real trainings: a search to its gate, a run that is canceled, one that goes on."""

import threading
import time

import mlflow
import pytest

import sparklabel as sl
from sparklabel.language_model import TrainingConfig
from sparklabel.splits import is_validation
from sparklabel.training.runs import worker
from sparklabel.training.runs.work import work
from tests.tone_table import TONE, make_tone_table

RECIPE = TrainingConfig(top_layers=1, epochs=1, batch_size=16)

pytestmark = pytest.mark.usefixtures("mlflow_store")


@pytest.fixture(scope="module")
def name(spark):
    """A labeled table with 180 answers, of which about a fifth is held out."""
    name = "default.queued_runs"
    spark.sql(f"DROP TABLE IF EXISTS {name}")
    make_tone_table(spark, name, 180)
    yield name
    spark.sql(f"DROP TABLE {name}")


@pytest.fixture
def submit(name, tiny_model, tmp_path, monkeypatch):
    """Submits to a queue of the test's own."""
    monkeypatch.setenv("SPARKLABEL_RUNS", f"sqlite:///{tmp_path}/runs.db")
    defaults = {
        "table": name, "task": TONE, "key": "id", "base": str(tiny_model), "config": RECIPE,
        "registered_name": f"tone-{tmp_path.name}", "checkpoint_minutes": 1e-9,
    }  # fmt: skip
    return lambda **options: sl.submit("finetune", **defaults | options)


def steps(run):
    return [metric.step for metric in mlflow.MlflowClient().get_metric_history(run.mlflow_run, "loss")]


def test_a_search_trains_its_candidates_and_gates_the_best_once(spark, submit, tmp_path):
    submit(search=sl.grid(learning_rate=[1e-6, 1e-2]))
    worked = sl.work(spark)
    assert [run.state for run in worked] == ["complete"] * 3
    client = mlflow.MlflowClient()
    low, high, final = (client.get_run(run.mlflow_run) for run in worked)
    assert [run.accuracy for run in worked[:2]] == [
        run.data.metrics["validation_accuracy"] for run in (low, high)
    ]
    best = max(worked[:2], key=lambda run: (run.accuracy, -run.number))
    assert float(final.data.params["recipe.learning_rate"]) == best.params["learning_rate"]
    assert int(final.data.params["answers"]) > int(low.data.params["answers"])
    assert {run.info.status for run in (low, high, final)} == {"FINISHED"}
    [version] = client.search_model_versions(f"name='tone-{tmp_path.name}'")
    assert version.run_id == final.info.run_id
    parent = client.get_run(final.data.tags["mlflow.parentRunId"])
    assert (parent.info.status, parent.data.params["best_run"]) == ("FINISHED", best.name)


def test_a_candidate_is_judged_on_answers_that_it_has_not_learned(spark, name):
    from sparklabel.training.call import FinetuneCall
    from sparklabel.training.inputs import FinetuneInputs

    answers = FinetuneInputs.read(spark, FinetuneCall(table=name, task=TONE, key="id")).answers
    found = answers.for_search()
    assert all(is_validation(one.inputs) for one in found.held_out)
    assert not any(is_validation(one.inputs) for one in found.train)
    assert len(found.train) + len(found.held_out) == len(answers.train)


def test_a_run_that_is_canceled_while_it_trains_ends_and_goes_on_when_it_is_retried(
    spark, submit, monkeypatch
):
    monkeypatch.setattr(worker, "_LOOK_SECONDS", 0.05)
    monkeypatch.setattr("sparklabel.training.runs.storage.BEAT_SECONDS", 1)
    [run] = submit(config=TrainingConfig(top_layers=3, epochs=12, batch_size=4))

    def cancel():
        while not steps(run):
            time.sleep(0.05)
        sl.cancel_run(run.name)

    canceling = threading.Thread(target=cancel)
    canceling.start()
    [canceled] = work(spark)
    canceling.join()
    done = steps(run)
    assert canceled.state == "canceled"
    assert done[-1] < 12 * 36
    sl.retry_run(run.name)
    [complete] = work(spark)
    assert complete.state == "complete"
    assert steps(run) == list(range(1, steps(run)[-1] + 1))
