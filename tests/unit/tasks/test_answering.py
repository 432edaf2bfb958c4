"""Answering: NULL is a right answer, and an extractive one is the context's own words."""

import pickle
from pathlib import Path

import pytest
import yaml

from sparklabel import answering, load_task
from sparklabel.engines.fake import FakeEngine
from sparklabel.errors import TaskError
from sparklabel.labeler import Labeler
from sparklabel.tasks import task_from_dict

TASK = answering("reply", "question", "context")
MODE = TASK.answer_mode
EXTRACTIVE = answering("reply", "question", "context", extractive=True)
ROW = ["Who?", "It was Ada\nLovelace."]


def test_the_inputs_are_the_question_and_the_context():
    assert TASK.inputs == ("question", "context")


def test_the_answer_is_read():
    assert MODE.read('{"answer": "Ada"}', ROW).value == "Ada"


def test_null_is_an_answer():
    assert MODE.read('{"answer": null}', ROW).value is None
    assert MODE.accepts(None)


def test_the_span_is_the_answer_without_its_quotes_or_null():
    assert MODE.read('{"answer": "Ada"}', ROW).fields == (("answer", ((12, 15),)),)
    assert MODE.read('{"answer": null}', ROW).fields == (("answer", ((11, 15),)),)


def test_an_extractive_answer_is_the_contexts_own():
    assert EXTRACTIVE.answer_mode.read('{"answer": "ada lovelace"}', ROW).value == "Ada\nLovelace"


def test_an_extractive_answer_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="'Who' is not in the context"):
        EXTRACTIVE.answer_mode.read('{"answer": "Who"}', ROW)


@pytest.mark.parametrize(
    "text", ["Ada", '"Ada"', "{}", '{"answer": 3}', '{"answer": " "}', '{"answer": "a", "b": 1}']
)
def test_what_is_no_answer_is_refused(text):
    with pytest.raises(ValueError, match=r"answer|text"):
        MODE.read(text, ROW)


@pytest.mark.parametrize("value", ["", " ", 3, ["Ada"]])
def test_what_is_no_text_is_not_accepted(value):
    assert not MODE.accepts(value)


def test_training_writes_json():
    assert (MODE.written("Zoë"), MODE.written(None)) == ('{"answer": "Zoë"}', '{"answer": null}')


def test_counts_tell_answered_from_not_answerable():
    assert (MODE.categories("Ada"), MODE.categories(None)) == (("answered",), ("not answerable",))


@pytest.mark.parametrize(
    ("gold", "value", "expected"),
    [
        ("The Eiffel Tower.", "eiffel tower", 1), ("Ada Lovelace", "Ada Byron", 0.5), ("Ada", "Bob", 0),
        (None, None, 1), (None, "Ada", 0), ("Ada", None, 0), ("the", "a", 1), ("the", "Ada", 0), ("¿Ada?", "Ada", 1),
        ("3.5 EUR", "35 EUR", 0.99), ("dog bites man", "man bites dog", 0.99),
    ],
)  # fmt: skip
def test_agreement_is_squads_f1(gold, value, expected):
    assert MODE.agreement(gold, value) == pytest.approx(expected)


def test_the_signature_tells_extractive_from_free():
    assert MODE.signature != EXTRACTIVE.answer_mode.signature


def test_a_mode_travels_to_workers():
    assert pickle.loads(pickle.dumps(MODE)).read('{"answer": "Ada"}', ROW).value == "Ada"


def test_the_prompt_names_the_inputs_and_asks_for_json():
    task = answering("reply", "customer_question", "policy", extractive=True)
    assert task.question() == (
        "Answer the customer question from the policy alone.\n"
        'Answer with one JSON object, {"answer": ...}: a short text, copied from it word for word, '
        "or null where the policy does not say."
    )


def test_an_extractive_example_must_be_in_its_context():
    with pytest.raises(TaskError, match="'Bob', which its context does not hold"):
        answering("reply", "q", "c", examples=[(("Who?", "Ada"), "Bob")], extractive=True)


def test_an_example_that_is_no_text_is_refused():
    with pytest.raises(TaskError, match="3, which is neither text nor null"):
        answering("reply", "q", "c", examples=[(("How many?", "three"), 3)])


def test_other_than_two_inputs_are_refused():
    with pytest.raises(TaskError, match="a question and a context"):
        task_from_dict({"kind": "answering", "name": "reply", "inputs": ["context"]})


def test_a_task_with_examples_comes_back_from_yaml_and_is_a_key():
    examples = [({"c": "Ada did it", "q": "Who?"}, "Ada"), (("Why?", "Ada did it"), None)]
    task = answering("reply", "q", "c", examples=examples, extractive=True)
    back = task_from_dict(yaml.safe_load(task.to_yaml()))
    assert (back, hash(back)) == (task, hash(task))


def test_the_task_in_conf_works():
    task = load_task(Path(__file__).parents[3] / "conf/tasks/policy_answer.yaml")
    assert [task.verbalize(e.answer) for e in task.examples] == [
        '{"answer": "within 30 days"}',
        '{"answer": null}',
    ]


def test_the_fake_engine_answers_from_the_context():
    rows = [[f"Who was {number}?", "Zoë was here: there"] for number in range(5)]
    labels = Labeler(EXTRACTIVE, FakeEngine(), model="m").label(rows)
    values = {label.value for label in labels}
    assert {label.status for label in labels} == {"ok"}
    assert len(values) > 1
    assert all(value in "Zoë was here: there" for value in values - {None})
