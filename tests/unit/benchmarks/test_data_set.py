"""The quality benchmark's data sets: each YAML is a task, and a row becomes inputs and a right answer."""

import pytest

from benchmarks.quality.data_set import NAMES, load_data_set
from sparklabel.tasks import KINDS

ROWS = {
    "classification": [{"label": "a"}, {"label": "b"}],
    "multilabel": [{"labels": ["a"]}, {"labels": ["b"]}],
    "entities": [{"entities": [{"text": "Ada", "type": "a"}]}],
}


@pytest.mark.parametrize("name", NAMES)
def test_a_data_set_names_a_task(name):
    found = load_data_set(name)
    assert found.build_task(ROWS.get(found.task["kind"], [])).kind == found.task["kind"]


def test_there_is_a_data_set_for_every_kind_but_free_text():
    assert {load_data_set(name).task["kind"] for name in NAMES} == set(KINDS) - {"generation"}


def test_labels_that_are_left_out_are_those_that_occur():
    assert load_data_set("banking77").build_task(ROWS["classification"]).answer_mode.signature == ("a", "b")


def test_a_match_is_true():
    found = load_data_set("abt_buy")
    task = found.build_task([])
    assert found.build_row(task, {"left_name": "lamp", "label": "match"}) == (
        ("lamp", "", "", "", "", ""),
        True,
    )


def test_an_empty_list_of_answers_is_no_answer():
    found = load_data_set("squad2")
    row = {"question": "Who?", "context": "Nobody.", "answers": []}
    assert found.build_row(found.build_task([]), row) == (("Who?", "Nobody."), None)


def test_an_input_may_be_made_of_several_fields():
    found = load_data_set("belebele")
    row = {"question": "Who?", "options": ["Ada", "Alan"], "context": "It was Ada.", "answers": ["Ada"]}
    assert found.build_row(found.build_task([]), row) == (("Who?\nAda\nAlan", "It was Ada."), "Ada")


def test_fields_that_a_row_does_not_say_are_null():
    found = load_data_set("restaurant8k")
    row = {"text": "At eight.", "fields": {"time": "eight"}}
    answer = dict.fromkeys(("date", "people", "first_name", "last_name")) | {"time": "eight"}
    assert found.build_row(found.build_task([]), row) == (("At eight.",), answer)
