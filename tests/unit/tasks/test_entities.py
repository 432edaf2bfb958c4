"""Entities: from a model's quotes to places in the text, and what people may write by hand."""

import json
import pickle
from pathlib import Path

import pytest
import yaml
from pyspark.sql import Row

from sparklabel import entities, load_task
from sparklabel.engines.fake import FakeEngine
from sparklabel.errors import TaskError
from sparklabel.labeler import Labeler
from sparklabel.tasks import task_from_dict

TASK = entities("names", "text", ["person", "org"])
MODE = TASK.answer_mode


def quoted(*pairs):
    return json.dumps([{"text": text, "type": kind} for text, kind in pairs], ensure_ascii=False)


def placed(text, kind, start):
    return {"text": text, "type": kind, "start": start, "end": start + len(text)}


ADA, BOB = placed("Ada", "person", 0), placed("Bob", "person", 8)


def test_quotes_become_places_in_the_order_of_the_text():
    reading = MODE.read(quoted(("Bob", "person"), ("Ada", "person")), ["Ada met Bob"])
    assert reading.value == [ADA, BOB]


def test_the_stored_text_is_the_rows_own():
    reading = MODE.read(quoted(("ada lovelace", "person")), ["Zoë and Ada\nLovelace"])
    assert reading.value == [placed("Ada\nLovelace", "person", 8)]


def test_a_type_is_stored_as_the_task_writes_it():
    mode = entities("names", "text", ["caf\u00e9"]).answer_mode
    reading = mode.read(quoted(("Ada", "cafe\u0301")), ["Ada met Bob"])
    assert [entity["type"] for entity in reading.value] == ["caf\u00e9"]
    assert [field.field for field in reading.fields] == ["caf\u00e9"]


def test_repeated_names_are_different_places():
    reading = MODE.read(quoted(("Bob", "person"), ("Bob", "org")), ["Bob, Bob"])
    assert reading.value == [placed("Bob", "person", 0), placed("Bob", "org", 5)]


def test_what_the_row_does_not_hold_is_left_out_and_counted():
    reading = MODE.read(quoted(("Eve", "person"), ("Ada", "person"), ("Ada", "person")), ["Ada met Bob"])
    assert (reading.value, reading.dropped) == ([ADA], 2)


def test_each_entity_has_the_spans_of_its_text_and_type_in_the_order_of_the_value():
    text = quoted(("Eve", "org"), ("Bob", "org"), ("Ada", "person"))
    fields = MODE.read(text, ["Ada met Bob"]).fields
    assert [(field.field, *(text[slice(*span)] for span in field.spans)) for field in fields] == [
        ("person", "Ada", "person"), ("org", "Bob", "org"),
    ]  # fmt: skip


def test_the_empty_list_has_a_confidence_too():
    assert MODE.read("[]", ["Ada"]).fields == (("none", ((0, 2),)),)


def test_each_entity_is_right_as_often_as_people_found_it():
    bobs = [placed("Bob", "person", 0), placed("Bob", "person", 0), placed("Bob", "org", 5)]
    assert MODE.field_agreement(bobs[:1], bobs) == [1, 0, 0]


def test_a_list_without_entities_is_right_if_people_found_none():
    assert [MODE.field_agreement(gold, []) for gold in ([], [ADA])] == [[1], [0]]


@pytest.mark.parametrize(
    "text", ["{}", '[{"text": "Ada"}]', quoted(("Ada", "pet")), quoted((" ", "person")), "Ada", "[1]"]
)
def test_what_is_no_list_of_the_tasks_entities_is_refused(text):
    with pytest.raises(ValueError, match="answer"):
        MODE.read(text, ["Ada"])


def test_people_may_leave_the_places_out():
    assert MODE.accepts(
        [Row(text="Ada", type="person", start=None, end=None), {"text": "Bob", "type": "org"}]
    )


@pytest.mark.parametrize(
    "value",
    [
        None,
        "Ada",
        [None],
        ["Ada"],
        [{"text": "Ada", "type": "pet"}],
        [{"text": "", "type": "org"}],
        [ADA | {"start": "0"}],
        [ADA | {"x": 1}],
    ],
)
def test_what_has_no_text_or_type_of_the_task_is_no_answer(value):
    assert not MODE.accepts(value)


def test_training_writes_text_and_type_in_the_order_of_the_text():
    late = Row(text="Eve", type="org", start=None, end=None)
    assert MODE.written([late, Row(**BOB), ADA]) == quoted(
        ("Ada", "person"), ("Bob", "person"), ("Eve", "org")
    )


def test_what_is_said_are_the_types_or_none():
    assert MODE.categories([ADA, BOB, placed("X", "org", 20)]) == ("person", "org")
    assert MODE.categories([]) == ("none",)


def test_agreement_is_strict_f1():
    assert MODE.agreement([ADA, BOB], [ADA]) == pytest.approx(2 / 3)
    assert MODE.agreement([ADA], [ADA | {"start": 5}]) == 0
    assert MODE.agreement([ADA], [ADA | {"type": "org"}]) == 0


def test_without_a_place_text_and_type_decide():
    by_hand = [Row(text="Ada", type="person", start=None, end=None)]
    assert MODE.agreement(by_hand, [ADA]) == 1


def test_two_empty_answers_agree_and_a_failed_one_with_nothing():
    assert (MODE.agreement([], []), MODE.agreement([], [ADA]), MODE.agreement([], None)) == (1, 0, 0)


def test_the_schema_holds_types_and_number():
    schema = json.loads(MODE.schema)
    assert schema["items"]["properties"]["type"]["enum"] == ["person", "org"]
    assert schema["maxItems"] == 24
    few = entities("names", "text", ["person"], max_entities=3).answer_mode
    assert json.loads(few.schema)["maxItems"] == 3


def test_the_signature_is_the_types():
    assert MODE.signature == ("person", "org")


def test_a_mode_travels_to_workers():
    assert pickle.loads(pickle.dumps(MODE)).read(quoted(("Ada", "person")), ["Ada"]).value == [ADA]


def test_the_prompt_describes_the_types():
    question = entities("names", "text", {"person": "a human", "org": "a company"}, "Find names.").question()
    assert question.startswith(
        "Find names.\nThe types of entities are:\n- person: a human\n- org: a company\n"
    )


def test_two_inputs_are_refused():
    with pytest.raises(TaskError, match="exactly one input"):
        entities("names", ["title", "text"], ["person"])


def test_a_type_named_none_is_refused():
    with pytest.raises(TaskError, match="a type cannot be named 'none'"):
        entities("names", "text", ["none"])


def test_an_example_of_an_unknown_type_is_refused():
    with pytest.raises(TaskError, match=r"not a list of \{text, type\}"):
        entities("names", "text", ["person"], examples=[("Rex", [{"text": "Rex", "type": "pet"}])])


def test_a_task_with_examples_comes_back_from_yaml_and_is_a_key():
    task = entities("names", "text", {"person": "a human"}, examples=[("Ada", [Row(**ADA)])])
    back = task_from_dict(yaml.safe_load(task.to_yaml()))
    assert (back, hash(back)) == (task, hash(task))


def test_the_task_in_conf_works():
    task = load_task(Path(__file__).parents[3] / "conf/tasks/mentions.yaml")
    assert task.verbalize(task.examples[0].answer) == quoted(("Ada Lovelace", "person"), ("London", "place"))


def test_the_fake_engine_finds_capitalised_words():
    (label,) = Labeler(TASK, FakeEngine(), model="m").label([["we met Ada and Zoë"]])
    assert [(e["text"], e["start"]) for e in label.value] == [("Ada", 7), ("Zoë", 15)]
    assert label.status == "ok"
