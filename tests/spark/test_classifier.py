"""A version without a language model: fitted, judged, registered, and served in every way."""

from pathlib import Path

import mlflow
import pytest

import sparklabel as sl
from sparklabel import registry
from sparklabel.errors import ModelError, SetupError, TaskError
from sparklabel.registry import fetch, resolve
from sparklabel.training import students
from tests.tone_table import TONE, make_tone_table

pytestmark = pytest.mark.usefixtures("mlflow_store")
ROWS = [("oooo 1", "calm"), ("xxxx 2", "angry")]


@pytest.fixture(scope="module")
def name(spark):
    """A labeled table with 600 answers."""
    name = "default.classified"
    make_tone_table(spark, name, 600)
    yield name
    spark.sql(f"DROP TABLE {name}")


@pytest.fixture(scope="module")
def finetune(spark, name, tiny_model, tiny_encoder):
    defaults = {
        "key": "id", "base": str(tiny_model), "method": "classifier", "encoder": str(tiny_encoder),
        "registered_name": "quick-tone", "progress": False,
    }  # fmt: skip
    return lambda **options: sl.finetune(spark, name, TONE, **defaults | options)


@pytest.fixture(scope="module")
def report(finetune):
    return finetune()


def test_a_classifier_that_beats_the_base_is_promoted(report):
    assert (report.promoted, report.method, report.steps) == (True, "classifier", 0)
    assert report.gate.accuracy_new > 0.95
    assert report.base.startswith("folder@sha256:")
    assert "a classifier over sentence" in str(report)


def test_a_pass_answers_with_the_champion_whatever_engine_a_language_model_would_have(spark, report, table):
    rows = spark.createDataFrame([(i, text) for i, (text, _) in enumerate(ROWS)], "id BIGINT, text STRING")
    rows.write.format("delta").saveAsTable(table)
    passed = sl.label_table(
        spark, table, TONE, key="id", model="models:/quick-tone@champion", engine="vllm", progress=False
    )  # fmt: skip
    assert passed.labeled == 2
    rows = spark.table(table).orderBy("id").collect()
    assert [row.tone for row in rows] == [answer for _, answer in ROWS]
    assert {row.tone_label.model for row in rows} == {report.champion}
    assert rows[0].tone_label.prompt_tokens == len("oooo 1")


def test_a_column_and_a_sql_function_answer_as_a_pass_does(spark, report):
    rows = spark.createDataFrame(ROWS, "text STRING, gold STRING")
    found = rows.select("gold", sl.label_udf(TONE, model=report.model)("text").alias("label")).collect()
    assert [row.label.value for row in found] == [row.gold for row in found]
    sl.register(spark, TONE, report.model, name="quick_tone")
    assert spark.sql("SELECT quick_tone('xxxx 7').value").first()[0] == "angry"


@pytest.mark.filterwarnings("ignore:.*type hint")  # MLflow's, about its own
def test_mlflow_loads_it_without_spark(report):
    import pandas as pd

    model = mlflow.pyfunc.load_model(report.model)
    assert model.predict(pd.DataFrame({"text": ["oooo 3", None]}))["value"].tolist() == ["calm", None]


def test_what_serving_needs_is_neither_peft_nor_the_shipped_encoder(report):
    assert Path(mlflow.pyfunc.get_model_dependencies(report.model)).read_text().startswith("sparklabel==")


def test_a_text_that_is_cut_says_so(spark, report):
    [label] = (
        spark.createDataFrame([("x" * 100,)], "text STRING")
        .select(sl.label_udf(TONE, model=report.model)("text").alias("label"))
        .collect()
    )
    assert (label.label.status, label.label.prompt_tokens) == ("truncated", 62)


def test_a_base_that_cannot_be_read_costs_its_hidden_states_alone(finetune, monkeypatch, caplog):
    def no_memory(*_):
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(students.FrozenBase, "open", no_memory)
    assert finetune(registered_name="unread-tone").promoted
    assert "does without the hidden states of folder@sha256:" in caplog.text
    assert "CUDA out of memory" in caplog.text
    with pytest.raises(RuntimeError):
        finetune(registered_name="unread-tone", hidden_states=True)
    caplog.clear()
    finetune(registered_name="unread-tone", hidden_states=False)
    assert "hidden states" not in caplog.text


def test_a_second_one_has_to_beat_the_first(finetune, report):
    assert finetune().gate.verdict == "inconclusive"


def test_an_encoder_is_trained_with_its_classifier_and_is_the_version_s_own(spark, finetune, tiny_encoder):
    report = finetune(tune_encoder=True, registered_name="tuned-tone")
    assert (report.promoted, report.gate.accuracy_new) == (True, 1.0)
    assert "trained with their encoder" in str(report)
    model = resolve(report.model)
    assert model.base.identity == report.base
    assert fetch(model).encoder.parent.name.startswith("adapter-")
    rows = spark.createDataFrame(ROWS, "text STRING, gold STRING")
    found = rows.select("gold", sl.label_udf(TONE, model=report.model)("text").alias("label")).collect()
    assert [row.label.value for row in found] == [row.gold for row in found]


def test_a_queued_run_fits_one(spark, name, tiny_model, tiny_encoder, tmp_path):
    queue = f"sqlite:///{tmp_path}/runs.db"
    sl.submit(
        "finetune", table=name, task=TONE, key="id", base=str(tiny_model), method="classifier",
        encoder=str(tiny_encoder), registered_name="queued-tone", queue=queue,
    )  # fmt: skip
    assert [run.state for run in sl.work(spark, queue=queue)] == ["complete"]


def test_what_a_classifier_cannot_do_is_refused(spark, name, finetune, tiny_model):
    with pytest.raises(SetupError, match="no method 'clasifier'; did you mean classifier"):
        finetune(method="clasifier")
    with pytest.raises(SetupError, match="fitted in one process"):
        finetune(num_processes=2)
    for unread in ({"tune_encoder": True}, {}):  # `encoder` is the fixture's
        with pytest.raises(SetupError, match="has no encoder"):
            finetune(method="lora", **unread)
    for says_how in ({"config": sl.TrainingConfig()}, {"checkpoints": "/tmp"}):
        with pytest.raises(SetupError, match="says how LoRA trains"):
            finetune(**says_how)
    with pytest.raises(ModelError, match="is not a sentence encoder"):
        finetune(encoder=str(tiny_model))
    with pytest.raises(TaskError, match="of kind 'generation' are written"):
        sl.finetune(spark, name, sl.generation("tone", "text", "Say."), key="id", method="classifier")


def test_an_encoder_is_no_language_model(spark, tiny_model):
    with pytest.raises(SetupError, match="The encoder engine answers with classifiers"):
        sl.label_udf(TONE, model=str(tiny_model), engine="encoder")


def test_what_the_store_refuses_is_kept_and_the_same_call_registers_it(finetune, monkeypatch, caplog):
    def full(*_):
        raise SetupError("MLflow cannot keep files: the disk is full.")

    def train(*_):
        raise AssertionError("trained again")

    with monkeypatch.context() as patch:
        patch.setattr(registry, "log_version", full)
        with pytest.raises(SetupError, match="the disk is full"):
            finetune(registered_name="kept-tone")
    assert "is kept in" in caplog.text
    monkeypatch.setattr(students, "fit_heads", train)
    assert finetune(registered_name="kept-tone").promoted
