"""What a task says of the table that its examples come from."""

import pytest

from sparklabel import classification, load_task
from sparklabel.errors import TaskError
from sparklabel.tasks import ExamplesFrom


def verdict(choice="similar", count=2, **changes):
    fields = {"name": "verdict", "inputs": "text", "labels": ["fresh", "rotten"], "instructions": "Judge."}
    return classification(**fields | {"examples_from": ("films", count, choice)} | changes)


def test_a_task_without_examples_keeps_its_fingerprint():
    plain = verdict(examples_from=None)
    assert plain.fingerprint == verdict(examples_from=None, examples=[]).fingerprint
    assert plain.fingerprint == "v1:7117ef58eac2038c825ec046"


@pytest.mark.parametrize(
    "source", [("other", 2, "similar"), ("films", 3, "similar"), ("films", 2, "diverse")]
)
def test_the_fingerprint_covers_table_count_and_choice(source):
    assert verdict(examples_from=source).fingerprint != verdict().fingerprint


@pytest.mark.parametrize(
    "source",
    [["films", 2, "similar"], {"table": "films", "count": 2, "choice": "similar"}],
    ids=["a list", "a mapping"],
)
def test_the_source_may_be_a_list_or_a_mapping(source):
    assert verdict(examples_from=source) == verdict()


def test_yaml_keeps_the_source(tmp_path):
    path = tmp_path / "task.yaml"
    path.write_text(verdict().to_yaml(), "utf-8")
    assert load_task(path) == verdict()
    assert load_task(path).examples_from == ExamplesFrom(table="films", count=2, choice="similar")


def test_yaml_takes_the_short_form(tmp_path):
    path = tmp_path / "task.yaml"
    plain = verdict(examples_from=None).to_yaml()
    path.write_text(f"{plain}\nexamples_from: [films, 2, similar]\n", "utf-8")
    assert load_task(path) == verdict()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"examples": [("a", "fresh")]}, "give examples or examples_from, not both"),
        ({"examples_from": ("films", 2)}, "write it as"),
        ({"examples_from": ("films", 0, "similar")}, "examples_from.count: "),
        ({"examples_from": ("films", 2, "nearest")}, "examples_from.choice: "),
        ({"examples_from": (" ", 2, "similar")}, "examples_from.table: "),
        ({"examples_from": "films"}, "examples_from: "),
    ],
)
def test_a_source_that_cannot_work_is_refused(changes, message):
    with pytest.raises(TaskError) as caught:
        verdict(**changes)
    assert message in caught.value.message
