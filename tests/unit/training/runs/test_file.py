"""A submission in a YAML file."""

from pathlib import Path

import pytest

import sparklabel as sl
from sparklabel.errors import SetupError, TaskError
from sparklabel.training.runs.file import load_submission

CONF = Path(__file__).parents[4] / "conf"


def written(tmp_path, text):
    file = tmp_path / "runs.yaml"
    file.write_text(text)
    return file


def test_the_example_is_what_submit_takes():
    found = load_submission(CONF / "runs" / "intent.yaml")
    assert found["search"] == sl.grid(learning_rate=[3e-4, 1e-3], rank=[8, 16, 32])
    assert found["task"] == sl.load_task(CONF / "tasks" / "intent.yaml")


def test_numbers_without_a_dot_are_numbers(tmp_path):
    text = """
        call: finetune
        table: t
        task: {kind: classification, name: tone, inputs: text, labels: [calm, angry]}
        config: {epochs: 2, learning_rate: 1e-3}
        search: {tpe: {trials: 3, learning_rate: {low: 1e-5, high: 1e-3, log: true}}}
        """
    found = load_submission(written(tmp_path, text))
    assert found["config"] == sl.TrainingConfig(epochs=2, learning_rate=1e-3)
    assert found["search"] == sl.tpe(trials=3, learning_rate=(1e-5, 1e-3, "log"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[1]", "it has no fields"),
        ("table: t", "it has no `call`"),
        ("call: [", "not YAML"),
        ("call: finetune\nsearch: {grid: {rank: [8], rank: [16]}}", "'rank' is given twice"),
        ("call: finetune\ntabel: t", "did you mean table"),
        ("call: finetune\nsearch: {gird: {}}", "neither a grid nor a tpe"),
        ("call: finetune\nconfig: 7", "config=7"),
        ("call: finetune\nconfig: {ranks: 7}", "did you mean rank"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path, text, says):
    with pytest.raises(SetupError, match=says):
        load_submission(written(tmp_path, text))


def test_a_task_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TaskError, match=r"no task file .*nothing\.yaml"):
        load_submission(written(tmp_path, "call: finetune\ntask: nothing.yaml"))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SetupError, match=r"nothing\.yaml cannot be read: No such file or directory\.$"):
        load_submission(tmp_path / "nothing.yaml")


def test_what_is_no_yaml_is_named_with_the_file_and_the_line(tmp_path):
    with pytest.raises(SetupError, match=r'is not YAML: .*(?s:.)* in "\w+\.yaml", line 1'):
        load_submission(written(tmp_path, "call: ["))


def test_paths_are_as_seen_from_the_file(tmp_path):
    text = "call: finetune\ntable: ./data\ninto: db.labels\ncheckpoints: kept\nbase: ../model\nencoder: ./enc"
    found = load_submission(written(tmp_path, text))
    assert found == {
        "call": "finetune", "table": f"{tmp_path}/data", "into": "db.labels", "checkpoints": f"{tmp_path}/kept",
        "base": f"{tmp_path}/../model",
        "encoder": f"{tmp_path}/enc",
    }  # fmt: skip
