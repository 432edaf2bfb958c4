"""`method="auto"`: methods compared on training answers, and a version that needs a language model and an encoder."""

import mlflow
import pytest

import sparklabel as sl
from sparklabel import registry
from sparklabel.classifiers.pooling import Pool
from sparklabel.errors import SetupError
from sparklabel.language_model import TrainingConfig
from sparklabel.models.manifest import ModelManifest
from sparklabel.training import selection
from tests.tone_table import TONE, make_tone_table

pytestmark = pytest.mark.usefixtures("mlflow_store")
RECIPE = TrainingConfig(top_layers=3, epochs=3, batch_size=16, learning_rate=5e-3)
ROWS = [("oooo 1", "calm"), ("xxxx 2", "angry")]


@pytest.fixture(scope="module")
def name(spark):
    """A labeled table with 420 answers."""
    name = "default.selected"
    make_tone_table(spark, name, 420)
    yield name
    spark.sql(f"DROP TABLE {name}")


@pytest.fixture(scope="module")
def finetune(spark, name, tiny_model, tiny_encoder):
    defaults = {
        "key": "id", "base": str(tiny_model), "method": "auto", "encoder": str(tiny_encoder), "config": RECIPE,
        "registered_name": "chosen-tone", "progress": False,
    }  # fmt: skip
    return lambda **options: sl.finetune(spark, name, TONE, **defaults | options)


@pytest.fixture(scope="module")
def both(finetune):
    """The report of a fine-tuning that found both worth their cost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pool, "chosen", lambda sources, targets, groups, *_: Pool.fit(sources, targets, groups))
        return finetune()


def test_methods_are_compared_on_a_fifth_of_the_training_answers(both):
    assert (both.promoted, both.method) == (True, "lora and classifier")
    judged = (
        "validation answers classifier 100.0%, classifier with its encoder 100.0%, lora 100.0%, both 100.0%: "
    )
    assert judged in str(both)
    client = mlflow.MlflowClient()
    children = client.search_runs(
        [client.get_run(both.run_id).info.experiment_id], f"tags.mlflow.parentRunId = '{both.run_id}'"
    )
    assert sorted(run.info.run_name for run in children) == [
        "classifier", "classifier on 80%", "classifier with its encoder on 80%", "lora on 80%",
    ]  # fmt: skip


def test_what_is_served_reads_a_language_model_and_an_encoder(both):
    files = registry.fetch(registry.resolve(both.model))
    assert all((files.adapter, files.encoder, files.classifier))
    assert {"sentence", "scores"} <= ModelManifest.from_json(
        registry.resolve(both.model).manifest
    ).classifier.weights.keys()


@pytest.mark.filterwarnings("ignore:.*type hint")  # MLflow's, about its own
def test_it_answers_as_a_column_and_as_mlflow_loads_it(spark, both):
    import pandas as pd

    rows = spark.createDataFrame(ROWS, "text STRING, gold STRING")
    found = rows.select("gold", sl.label_udf(TONE, model=both.model)("text").alias("label")).collect()
    assert [row.label.value for row in found] == [row.gold for row in found]
    model = mlflow.pyfunc.load_model(both.model)
    assert model.predict(pd.DataFrame({"text": ["oooo 3", None]}))["value"].tolist() == ["calm", None]


def test_with_too_few_answers_to_choose_by_a_classifier_is_fitted(finetune, monkeypatch):
    monkeypatch.setattr(selection, "MIN_VALIDATION", 100)
    report = finetune(registered_name="few-tone")
    assert (report.method, report.steps) == ("classifier", 0)
    assert "answers are too few to choose a method by (at least 100 are needed" in str(report)


def test_it_tries_the_encoder_by_itself(finetune):
    with pytest.raises(SetupError, match="tries that by itself"):
        finetune(tune_encoder=True)
