"""What commands say of their arguments, before Spark starts."""

import pytest
from typer.testing import CliRunner

from sparklabel.cli import app, history, loop, sql
from sparklabel.errors import SparklabelError

TASK = "kind: classification\nname: verdict\ninputs: text\nlabels: [fresh, rotten]\n"
WRONG = {
    "another argument": ("key=id", "--option key is not an option of an engine; write --key."),
    "another argument of two words": ("max_rows=5", "; write --max-rows."),
    "what is no option at all": ("spark=1", "The transformers engine has no option 'spark'"),
    "a value that the option does not take": (
        "threads=none",
        "The transformers engine cannot use threads='none'",
    ),
    "no name": ("=b", "--option =b has no name."),
    "no value": ("threads", "--option threads has no value."),
}


@pytest.fixture(autouse=True)
def without_spark(monkeypatch):
    def session(conf):
        raise AssertionError("Spark was started")

    for module in (loop, history, sql):
        monkeypatch.setattr(module, "session", session)


@pytest.fixture
def run(tmp_path):
    (tmp_path / "task.yaml").write_text(TASK)

    def run(command, *options, task=tmp_path / "task.yaml"):
        error = CliRunner().invoke(app, [command, "--table", "t", "--task", str(task), *options]).exception
        assert isinstance(error, SparklabelError)
        return str(error)

    return run


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_option_of_the_engine_is_named(run, case):
    given, message = WRONG[case]
    assert message in run("label", "--option", given)


def test_an_option_is_named_as_its_command_has_it(run):
    assert "; write --gold." in run("evaluate", "--option", "gold=verdict")
    assert "has no option 'gold'" in run("label", "--option", "gold=verdict")


@pytest.mark.parametrize("command", ["label", "finetune", "evaluate", "calibrate", "restore", "failures"])
def test_a_task_file_that_is_not_there_is_named_before_spark_starts(run, command):
    assert "nowhere.yaml" in run(command, task="nowhere.yaml")


def test_a_wrong_shard_is_named_before_spark_starts(run):
    assert "shard='8' is not a part of the rows" in run("label", "--shard", "8")
    assert "shard=(8, 8) is not a part of the rows" in run("label", "--shard", "8/8")
