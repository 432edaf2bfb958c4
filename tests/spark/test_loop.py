"""The loop with a real, tiny, random model: answers in SQL, fine-tuning, gate, registry, the next pass."""

import json
import shutil

import mlflow
import pytest

import sparklabel as sl
from sparklabel import registry
from sparklabel.errors import AnswersError, ColumnError, SetupError, TaskError
from sparklabel.language_model import TrainingConfig
from sparklabel.registry import resolve
from sparklabel.splits import is_held_out
from sparklabel.training import finetune

TASK = sl.classification("tone", "text", ["calm", "angry"])
RECIPE = TrainingConfig(top_layers=3, epochs=3, batch_size=16, learning_rate=5e-3)

pytestmark = pytest.mark.usefixtures("mlflow_store")


def make_table(spark, name, rows):
    spark.sql(f"DROP TABLE IF EXISTS {name}")
    spark.sql(
        f"CREATE TABLE {name} USING DELTA AS SELECT id, if(id % 2 = 0, 'calm', 'angry') AS gold, "
        f"concat(if(id % 2 = 0, 'oooo ', 'xxxx '), id) AS text FROM range({rows})"
    )
    sl.label_table(spark, name, TASK, key="id", engine="fake", progress=False)


@pytest.fixture(scope="module")
def loop(spark, tiny_model):
    """A labeled table, 550 of its 600 rows answered, and the report of a fine-tuning on them."""
    name = "default.the_loop"
    make_table(spark, name, 600)
    spark.sql(f"UPDATE {name} SET tone = gold, tone_label.source = 'human' WHERE id < 550")
    report = sl.finetune(
        spark,
        name,
        TASK,
        key="id",
        base=str(tiny_model),
        config=RECIPE,
        registered_name="tone",
        progress=False,
    )
    yield name, report
    spark.sql(f"DROP TABLE {name}")


def test_a_better_model_is_promoted(loop):
    _, report = loop
    assert report.promoted, report.gate.reason
    assert report.champion == resolve("models:/tone@champion").identity
    assert report.gate.n == report.held_out >= 100


def test_held_out_answers_never_train(loop):
    _, report = loop
    held_out = [i for i in range(550) if is_held_out([f"{'oooo' if i % 2 == 0 else 'xxxx'} {i}"])]
    assert (report.held_out, report.answers) == (len(held_out), 550 - len(held_out))


def test_the_run_names_the_table_version_and_the_gate(loop):
    import mlflow

    name, report = loop
    run = mlflow.get_run(report.run_id)
    assert run.inputs.dataset_inputs[0].dataset.name == name
    assert f'"delta_table_version": {report.version}' in run.inputs.dataset_inputs[0].dataset.source
    assert run.data.tags["gate.verdict"] == "promoted"
    params = run.data.params
    assert (params["method"], int(params["answers"])) == ("lora", report.answers)
    assert json.loads(params["labels"]) == report.counts
    assert len(mlflow.MlflowClient().get_metric_history(report.run_id, "loss")) == report.steps


def test_a_champion_and_a_base_that_cannot_be_asked_do_not_stop_a_better_model(
    spark, loop, tiny_model, tmp_path
):
    import mlflow

    name, _ = loop
    tuned = mlflow.MlflowClient().get_model_version_download_uri("tone", "1")
    with registry.start_run("before", experiment="tests") as run:
        shutil.copytree(tuned, tmp_path / "tuned")
        manifest = tmp_path / "tuned" / registry.MANIFEST
        manifest.write_text(manifest.read_text().replace(str(tiny_model), str(tmp_path / "gone")))
        registry.promote(
            "stranded", registry.log_version(run, tmp_path / "tuned", "stranded"), replacing=None
        )
    wordy = sl.classification("tone", "text", ["calm", "angry"], "Judge. " * 100)
    report = sl.finetune(
        spark, name, wordy, key="id", base=str(tiny_model), config=RECIPE, registered_name="stranded", progress=False
    )  # fmt: skip
    assert report.promoted, report.gate.reason
    assert (report.baseline, report.model) == ("the most frequent answer", "models:/stranded/2")
    assert "The champion, version 1, was not asked: " in report.gate.reason
    assert "The base was not asked: The instructions and labels take" in report.gate.reason


def test_the_next_pass_uses_the_champion_and_keeps_human_answers(spark, loop):
    name, report = loop
    done = sl.label_table(
        spark, name, TASK, key="id", model="models:/tone@champion", relabel="model", progress=False
    )
    assert (done.labeled, done.human_kept) == (50, 550)
    right, model = spark.sql(
        f"SELECT count_if(tone = gold), any_value(tone_label.model) FROM {name} WHERE id >= 550"
    ).collect()[0]
    assert right >= 45
    assert model == report.champion


def test_a_changed_task_is_not_given_to_a_model_of_the_old_one(spark, loop):
    name, _ = loop
    other = sl.classification("tone", "text", ["calm", "angry", "sad"])
    with pytest.raises(sl.SparklabelError, match="fine-tuned for another task"):
        sl.label_table(spark, name, other, key="id", model="models:/tone@champion")


def test_evaluate_measures_the_champion(spark, loop):
    name, _ = loop
    report = sl.evaluate(spark, name, TASK, gold="gold", model="models:/tone@champion")
    assert report.metrics.n == 600
    assert report.accuracy > 0.9


def test_evaluate_counts_failures_as_wrong(spark):
    rows = spark.createDataFrame(
        [("calm", "calm"), (None, "calm"), ("angry", None)], "text string, gold string"
    )
    report = sl.evaluate(spark, rows, TASK, gold="gold", engine="fake")
    assert (report.accuracy, report.metrics.accuracy_completed, report.without_gold) == (0.5, 1.0, 1)


def test_a_config_that_is_none_is_refused_first(spark):
    with pytest.raises(SetupError, match=r"config=\{'epochs': 2\} is not a TrainingConfig"):
        sl.finetune(spark, "no table", TASK, config={"epochs": 2})


def test_evaluate_names_a_missing_column(spark):
    with pytest.raises(ColumnError, match="'gold'"):
        sl.evaluate(spark, spark.createDataFrame([("a",)], "text string"), TASK, gold="gold", engine="fake")


def test_evaluate_refuses_instructions_that_do_not_fit_before_it_computes(spark, tiny_model):
    rows = spark.sql("SELECT raise_error('computed') AS text, 'calm' AS gold")
    wordy = sl.classification("tone", "text", ["calm", "angry"], "Judge. " * 100)
    with pytest.raises(TaskError, match="of the model's 512 tokens of context"):
        sl.evaluate(spark, rows, wordy, gold="gold", model=str(tiny_model))


def test_evaluate_names_a_missing_store_before_it_computes(spark, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    rows = spark.sql("SELECT raise_error('computed') AS text, 'calm' AS gold")
    with pytest.raises(SetupError, match="No tracking server answers"):
        sl.evaluate(spark, rows, TASK, gold="gold", engine="fake")


SAD = sl.classification("tone", "text", ["calm", "angry", "sad"])
TOO_LITTLE = {
    "nobody answered": (TASK, "tone_label.value", "model", "too few human answers"),
    "one answer alone": (TASK, "'calm'", "human", "only 'calm'"),
    "no answer agrees": (TASK, "if(tone_label.value = 'calm', 'angry', 'calm')", "human", "All human answers disagree"),
    "a label that nobody gave": (SAD, "gold", "human", "'sad'"),
}  # fmt: skip


@pytest.fixture(scope="module")
def answers(spark):
    """A labeled table of thirty rows, whose answers each test sets."""
    make_table(spark, "default.answers", 30)
    yield "default.answers"
    spark.sql("DROP TABLE default.answers")


@pytest.mark.parametrize("case", TOO_LITTLE)
def test_answers_that_would_spoil_a_model_are_refused(spark, answers, tiny_model, case):
    task, answer, source, message = TOO_LITTLE[case]
    spark.sql(f"UPDATE {answers} SET tone = {answer}, tone_label.source = '{source}'").collect()
    with pytest.raises(AnswersError, match=message):
        sl.finetune(spark, answers, task, key="id", base=str(tiny_model), progress=False)


def test_files_that_mlflow_cannot_keep_are_found_out_before_the_training(
    spark, answers, tiny_model, tmp_path, monkeypatch
):
    (tmp_path / "file").touch()
    mlflow.MlflowClient().create_experiment("full", artifact_location=f"file://{tmp_path}/file/kept")
    monkeypatch.setattr(finetune, "train_student", lambda *_: pytest.fail("it trains"))
    spark.sql(f"UPDATE {answers} SET tone = gold, tone_label.source = 'human'").collect()
    with pytest.raises(SetupError, match=f"cannot keep files at file://{tmp_path}/file/kept"):
        sl.finetune(spark, answers, TASK, key="id", base=str(tiny_model), experiment="full", progress=False)


def test_a_table_without_labels_is_refused(spark, table):
    spark.sql(f"CREATE TABLE {table} USING DELTA AS SELECT id, string(id) AS text FROM range(3)")
    with pytest.raises(ColumnError, match="no labels of the task"):
        sl.finetune(spark, table, TASK, key="id")
