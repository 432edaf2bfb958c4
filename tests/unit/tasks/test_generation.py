"""Generation: free text, or a struct of fields."""

import pickle
from pathlib import Path

import pytest
import yaml

from sparklabel import generation, load_task
from sparklabel.engines.fake import FakeEngine
from sparklabel.errors import TaskError
from sparklabel.labeler import Labeler
from sparklabel.tasks import task_from_dict

TASK = generation("summary", "text", "Sum it up.")
MODE = TASK.answer_mode
FIELDS = generation(
    "summary", "text", "Sum it up.", fields={"summary": "string", "tone": {"options": ["up", "down"]}}
)


def test_free_text_has_no_schema_and_is_taken_without_blanks_around_it():
    reading = MODE.read("\n A text. \n", ["text"])
    assert (MODE.schema, reading.value, reading.fields) == (None, "A text.", (("text", ((2, 9),)),))


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_text_is_refused(text):
    with pytest.raises(ValueError, match="the model wrote nothing"):
        MODE.read(text, ["text"])


def test_fields_make_a_struct():
    value = {"summary": "s", "tone": "up"}
    assert FIELDS.value_type == "STRUCT<`summary`: STRING, `tone`: STRING>"
    assert FIELDS.answer_mode.read(FIELDS.verbalize(value), ["text"]).value == value


def test_the_measures_follow_from_the_form():
    assert (MODE.metrics, FIELDS.answer_mode.metrics) == ("generation", "extraction")


@pytest.mark.parametrize(
    ("gold", "value", "expected"),
    [
        ("A Text", " a  text", 1),
        ("one two", "one three", 0.5),
        ("!", "?", 1),
        ("a text", None, 0),
        ("a text", "", 0),
    ],
)
def test_agreement_is_equality_or_shared_words(gold, value, expected):
    assert MODE.agreement(gold, value) == pytest.approx(expected)


@pytest.mark.parametrize("value", [None, "", " ", 3])
def test_what_is_no_text_is_not_accepted(value):
    assert not MODE.accepts(value)


def test_counts_say_answered():
    assert MODE.categories("a text") == ("answered",)


def test_a_mode_travels_to_workers():
    mode = pickle.loads(pickle.dumps(MODE))
    assert (mode.read("a", []).value, mode.written(" a ")) == ("a", "a")


def test_the_prompt_is_the_instructions_and_the_fields():
    assert TASK.question() == "Sum it up."
    assert FIELDS.question() == (
        "Sum it up.\nFields:\n- summary (text)\n- tone (one of: up, down)\n"
        "Answer with one JSON object that has the fields in this order; null where nothing fits."
    )


def test_without_instructions_there_is_nothing_to_do():
    with pytest.raises(TaskError, match="the instructions must say what to write"):
        generation("summary", "text", " ")


def test_an_example_of_the_other_form_is_refused():
    with pytest.raises(TaskError, match="'s', which is not a value of this task"):
        generation("summary", "text", "Sum it up.", [("t", "s")], fields={"summary": "string"})


@pytest.mark.parametrize("answer", ["a text", {"summary": "s"}])
def test_a_task_with_examples_comes_back_from_yaml_and_is_a_key(answer):
    fields = {"summary": "string"} if isinstance(answer, dict) else None
    task = generation("summary", "text", "Sum it up.", [("t", answer)], fields=fields, max_tokens=9)
    back = task_from_dict(yaml.safe_load(task.to_yaml()))
    assert (back, hash(back), back.answer_mode.max_tokens) == (task, hash(task), 9)


def test_the_task_in_conf_works():
    assert load_task(Path(__file__).parents[3] / "conf/tasks/summary.yaml").answer_mode.max_tokens == 64


@pytest.mark.parametrize("task", [TASK, FIELDS])
def test_the_fake_engine_writes_from_the_row(task):
    (label,) = Labeler(task, FakeEngine(), model="m").label([["things look up"]])
    assert (label.status, task.answer_mode.accepts(label.value)) == ("ok", True)
