"""A registered version as an MLflow model: what its page shows, and what it answers, with a tiny Llama fine-tuned."""

import json
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow.types import DataType

from sparklabel import classification, entities, extraction, registry
from sparklabel.confidence.calibrators import calibrator_from_json
from sparklabel.engines.transformers import TransformersEngine
from sparklabel.labeler import Labeler, PreparedTask
from sparklabel.labels.record import Label
from sparklabel.language_model import LanguageModel, TrainingConfig, choice_examples, train_lora
from sparklabel.models.manifest import ModelManifest
from sparklabel.prompts import bare_template
from sparklabel.registry.flavor import signature

# MLflow's own use of SQLAlchemy; nothing that we can change.
pytestmark = [
    pytest.mark.usefixtures("store", "one_thread"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType"),
]
TASK = classification(
    "verdict", ["title", "body"], ["fresh", "rotten"], examples=[(("A film", "Good."), "fresh")]
)
ROWS = [("one", "w"), ("two", "x"), (None, "y"), (None, None), ("five", "  z")]
CONFIG = TrainingConfig(top_layers=2, rank=4, lora_alpha=8, epochs=4, learning_rate=2e-2, batch_size=16)


@pytest.fixture(scope="module")
def base(tiny_model, store):
    """The base model, pinned."""
    return registry.resolve(str(tiny_model))


@pytest.fixture(scope="module")
def tuned(base, tiny_model, store):
    """A folder with a trained adapter and its manifest."""
    folder = store / "tuned-verdict"
    model = LanguageModel.load(tiny_model, dtype="float32", device="cpu")
    asked = PreparedTask.rendered(TASK, model.tokenizer, bare_template(TASK, model.tokenizer))
    prompts = asked.encoder.encode([[f"title {n}", "wx"[n % 2]] for n in range(32)])
    chosen = [(asked.encoder.prefix + prompt.ids, n % 2) for n, prompt in enumerate(prompts)]
    train_lora(model, choice_examples(chosen, asked.trie), CONFIG, folder / "adapter", choices=2)
    manifest = ModelManifest(
        TASK.to_dict(), TASK.fingerprint, asked.template, TASK.label_names, asked.label_ids,
        registry.base_record(base),
    )  # fmt: skip
    (folder / registry.MANIFEST).write_text(json.dumps(manifest.to_dict()))
    return folder


@pytest.fixture(scope="module")
def reference(tuned, log):
    """The registered version of `tuned`."""
    return f"models:/flavored/{log(tuned, 'flavored')}"


@pytest.fixture(scope="module")
def served(reference):
    return mlflow.pyfunc.load_model(reference)


@pytest.fixture(scope="module")
def answers(served):
    return served.predict(
        pd.DataFrame(ROWS, columns=TASK.inputs, index=[f"row {n}" for n in range(len(ROWS))])
    )


@pytest.fixture(scope="module")
def expected(reference):
    """What the labeler of `label_udf` says of the rows."""
    model = registry.resolve(reference)
    files = registry.fetch(model)
    engine = TransformersEngine.load(files.base, files.adapter)
    manifest = ModelManifest.from_json(model.manifest)
    return Labeler(TASK, engine, model=model.identity, manifest=manifest).label(ROWS)


def test_a_version_loaded_by_mlflow_answers_as_the_labeler_does(answers, expected):
    alike = [
        "value",
        "confidence",
        "status",
        "error",
        "model",
        "task_fingerprint",
        "input_hash",
        "prompt_tokens",
    ]
    assert answers[alike].to_dict("records") == [
        {name: getattr(label, name) for name in alike} for label in expected
    ]
    assert {label.value for label in expected if label.status == "ok"} == {"fresh", "rotten"}


def test_alternatives_are_plain_lists_of_values_and_probabilities(answers, expected):
    first = answers["alternatives"].iloc[0]
    assert first == [{"value": a.value, "probability": a.probability} for a in expected[0].alternatives]


def test_what_is_null_is_none_so_that_the_answers_are_json(answers):
    empty = answers.loc["row 3"]
    assert (empty["status"], empty["value"], empty["confidence"]) == ("empty_input", None, None)
    json.dumps(answers.drop(columns="labeled_at").to_dict("records"), allow_nan=False)


def test_an_answer_is_withheld_as_asked(served):
    answers = served.predict(pd.DataFrame(ROWS[:2], columns=TASK.inputs), params={"min_confidence": 1.0})
    assert list(answers["status"]) == ["uncertain"] * 2


def test_a_frame_without_rows_has_the_columns_of_the_record(served):
    answers = served.predict(pd.DataFrame({name: pd.Series(dtype=object) for name in TASK.inputs}))
    assert (len(answers), list(answers.columns)[:2]) == (0, ["value", "confidence"])


def test_the_signature_shows_inputs_record_and_threshold(reference):
    info = mlflow.models.get_model_info(reference)
    assert info.signature.inputs.input_names() == ["title", "body"]
    outputs = dict(
        zip(info.signature.outputs.input_names(), info.signature.outputs.input_types(), strict=True)
    )
    assert (outputs["value"], outputs["confidence"]) == (DataType.string, DataType.double)
    assert [param.name for param in info.signature.params] == ["min_confidence"]


def test_the_input_example_is_the_tasks_own(served):
    assert served.input_example.to_dict("records") == [{"title": "A film", "body": "Good."}]


def test_the_requirements_name_sparklabel_alone(reference):
    file = mlflow.pyfunc.get_model_dependencies(reference)
    lines = Path(file).read_text().split()
    assert len(lines) == 1
    assert lines[0].startswith("sparklabel[train]==")


def test_the_outputs_are_the_fields_of_the_record_in_order():
    assert signature(TASK).outputs.input_names() == list(Label.__slots__)


def test_values_with_fields_have_a_schema():
    task = extraction(
        "invoice", "text", {"due": "date", "total": "number", "items": {"type": "string", "many": True}}
    )
    value = signature(task).outputs.inputs[0].type
    assert value.to_dict()["properties"] == {
        "due": {"type": "string", "required": False},
        "total": {"type": "double", "required": False},
        "items": {"type": "array", "items": {"type": "string"}, "required": False},
    }
    spans = signature(entities("people", "text", ["person"])).outputs.inputs[0].type
    assert [p.name for p in spans.dtype.properties] == ["end", "start", "text", "type"]


def test_a_version_that_mlflow_loaded_is_still_the_registered_one(answers, reference, cache_of_another_host):
    """With a store of local files, MLflow writes a file of its own into the store."""
    model = registry.resolve(reference)
    assert (Path(model.location) / "registered_model_meta").is_file()
    files = registry.fetch(model)
    assert files.adapter.is_relative_to(cache_of_another_host)


@pytest.fixture
def cache_of_another_host(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARKLABEL_CACHE", str(tmp_path))
    return tmp_path


def test_a_folder_that_no_registry_gave_is_named_by_its_files(tuned):
    answers = mlflow.pyfunc.load_model(str(tuned)).predict(pd.DataFrame(ROWS[:1], columns=TASK.inputs))
    assert answers["model"].iloc[0].startswith("adapter@sha256:")


def test_the_calibrator_of_a_version_counts(tuned, log):
    reference = f"models:/calibrated/{log(tuned, 'calibrated')}"
    calibrator = calibrator_from_json(json.dumps({"method": "platt", "slope": 0.0, "intercept": 0.0}))
    with registry.start_run("calibrate", experiment="tests") as run:
        registry.log_calibrator(run, registry.resolve(reference).identity, TASK.fingerprint, calibrator)
    answers = mlflow.pyfunc.load_model(reference).predict(pd.DataFrame(ROWS[:1], columns=TASK.inputs))
    assert answers["confidence"].iloc[0] == pytest.approx(0.5)
    assert answers["raw_confidence"].iloc[0] > 0.5
