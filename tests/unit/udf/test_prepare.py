"""A labeler made ready on the driver, with engines that need no files."""

import pickle
from dataclasses import replace

import pytest
from pyspark.sql import SparkSession

from sparklabel import classification
from sparklabel.errors import SetupError, TaskError
from sparklabel.few_shot import ExampleSet
from sparklabel.tasks import ExamplesFrom
from sparklabel.udf import labeler_spec, prepare

TASK = classification("verdict", "text", ["fresh", "rotten"])
SOURCE = ExamplesFrom(table="reviews", count=4, choice="diverse")
SHOWN_TASK = classification("verdict", "text", ["fresh", "rotten"], examples_from=SOURCE)
SHOWN = ExampleSet("0" * 64, SOURCE, 3, 0, False, (), b"", "encoder")


def test_what_is_prepared_is_the_spec_for_workers_and_the_rendered_task():
    prepared = prepare(labeler_spec(TASK, "m", "fake", {}))
    assert pickle.loads(pickle.dumps(prepared.spec)) == prepared.spec == labeler_spec(TASK, "m", "fake", {})
    assert len(prepared.tasks[0].label_ids) == len(TASK.labels)


def test_a_task_that_does_not_fit_the_model_is_refused():
    wordy = classification("verdict", "text", ["fresh", "rotten"], "Judge. " * 2000)
    with pytest.raises(TaskError, match="of the model's 8192 tokens of context"):
        prepare(labeler_spec(wordy, "m", "fake", {}))


def test_examples_of_a_table_need_a_session(monkeypatch):
    monkeypatch.setattr(SparkSession, "getActiveSession", lambda: None)  # other tests may have left one
    with pytest.raises(SetupError, match="no active Spark session"):
        prepare(labeler_spec(SHOWN_TASK, "m", "fake", {}))


def test_examples_that_a_spec_has_are_kept():
    spec = replace(labeler_spec(SHOWN_TASK, "m", "fake", {}), examples=SHOWN)
    assert prepare(spec).spec is spec


@pytest.mark.parametrize(("engine", "identity"), [("fake", "fake:m"), ("openai", "openai:m@host:8000")])
def test_a_model_that_only_its_engine_knows_is_not_called_a_folder(engine, identity):
    options = {"base_url": "http://host:8000/v1"} if engine == "openai" else {}
    model = labeler_spec(TASK, "m", engine, options).model
    assert (model.source, model.identity, model.location) == ("named", identity, "")
