"""Task definitions: what is refused and how, YAML in and out, and what the fingerprint covers."""

import re
from datetime import date
from enum import Enum
from pathlib import Path
from string import ascii_lowercase

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparklabel import answering, classification, entities, extraction, load_task
from sparklabel.errors import TaskError
from sparklabel.tasks import task_from_dict

Color = Enum("Color", {"RED": "red"}, type=str)
CONF = Path(__file__).parents[3] / "conf" / "tasks"


def verdict(**changes):
    return classification(
        **{"name": "verdict", "inputs": "text", "labels": ["fresh", "rotten"], "instructions": "Judge."}
        | changes
    )


def write(folder, text):
    path = folder / "task.yaml"
    path.write_text(text, "utf-8")
    return path


BAD = {
    "an empty label list": ({"labels": []}, "labels: the list of labels is empty"),
    "a label twice": ({"labels": ["good", "good"]}, "labels: 'good' is given twice"),
    "labels that differ in case": ({"labels": ["good", "Good"]}, "differs from 'good' only in whitespace or case"),
    "labels that differ in blanks": ({"labels": ["all good", "all_good"]}, "only in whitespace or case"),
    "labels that differ in Unicode's form": ({"labels": ["caf\u00e9", "cafe\u0301"]}, "only in Unicode's form"),
    "labels that differ in form and case": ({"labels": ["caf\u00e9", "CAFE\u0301"]}, "only in whitespace or case"),
    "a blank label": ({"labels": ["good", " "]}, "labels: ' ' is a blank label"),
    "a label with a line break": ({"labels": ["good", "b\nad"]}, "whitespace at an end, or control characters"),
    "a label that is no text": ({"labels": ["good", False]}, "the label False is not text"),
    "labels in one string": ({"labels": "good, bad"}, "labels: "),
    "no input": ({"inputs": []}, "inputs: name at least one input column"),
    "a blank input": ({"inputs": [" "]}, "inputs: name at least one input column"),
    "an input twice": ({"inputs": ["text", "Text"]}, "inputs: a column is named twice"),
    "an input that the task would write": ({"inputs": "Verdict_Label"}, "a column that the task 'verdict' would write"),
    "a name with a blank": ({"name": "the verdict"}, "name: 'the verdict' must be letters"),
    "a name in another script": ({"name": "überschrift"}, "name: 'überschrift' must be letters"),
    "an example of an unknown label": ({"examples": [("fine", "ok")]}, "answered 'ok', which is not one of the labels"),
    "an example with too many texts": ({"examples": [(("a", "b"), "fresh")]}, "has 2 texts for the inputs ['text']"),
    "an example by another column": ({"examples": [({"body": "a"}, "fresh")]}, "texts for ['body'], and the inputs"),
    "an unknown prior": ({"prior": "uniform"}, "prior: "),
    "instructions that are no text": ({"instructions": 3}, "instructions: "),
    "instructions in bytes": ({"instructions": b"Judge."}, "instructions: "),
    "a name in bytes": ({"name": b"verdict"}, "name: "),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_definition_is_refused_with_its_task_and_field_named(case):
    changes, message = BAD[case]
    with pytest.raises(TaskError) as caught:
        verdict(**changes)
    assert message in caught.value.message
    assert repr(changes.get("name", "verdict")) in caught.value.message


@pytest.mark.parametrize("make", [
    lambda: verdict(labels={"fresh", "rotten"}),
    lambda: verdict(inputs={"title", "body"}),
    lambda: extraction("order", "text", {"size": {"options": {"small", "large"}}}),
    lambda: entities("names", "text", frozenset({"person", "city"})),
])  # fmt: skip
def test_a_set_is_refused_because_each_process_orders_it_anew(make):
    with pytest.raises(TaskError, match="a set has no order"):
        make()


@pytest.mark.parametrize("make", [
    lambda: extraction("order", "text", {"city": "string"}, max_tokens=True),
    lambda: extraction("order", "text", {"city": "string"}, max_tokens="5"),
    lambda: extraction("order", "text", {"city": {"nullable": "no"}}),
    lambda: entities("names", "text", ["city"], max_entities=0),
    lambda: answering("reply", "question", "context", extractive="yes"),
])  # fmt: skip
def test_numbers_and_flags_are_not_read_from_other_types(make):
    with pytest.raises(TaskError, match=r"max_tokens|nullable|max_entities|extractive"):
        make()


def test_every_problem_is_named_at_once():
    with pytest.raises(TaskError, match=r"name: .*; inputs: .*; labels: "):
        verdict(name="1", inputs=[], labels=[])


def test_a_single_label_is_allowed():
    assert verdict(labels=["only"]).label_names == ("only",)


def test_labels_may_be_described_by_a_mapping():
    task = verdict(labels={"fresh": "the critic likes it", "rotten": ""})
    assert task.label_names == ("fresh", "rotten")
    assert "\n- fresh: the critic likes it\n- rotten:" in task.question()


@pytest.mark.parametrize(
    "example",
    [
        (("a", "b"), "fresh"),
        ({"body": "b", "title": "a"}, "fresh"),
        {"inputs": ["a", "b"], "answer": "fresh"},
        {"inputs": {"body": "b", "title": "a"}, "answer": "fresh"},
    ],
)
def test_an_example_has_its_texts_in_order_or_by_column(example):
    (found,) = verdict(inputs=["title", "body"], examples=[example]).examples
    assert (found.inputs, found.answer) == (("a", "b"), "fresh")


def test_underscores_are_spoken_as_blanks():
    assert verdict(labels=["card_arrival", "other"]).verbalize("card_arrival") == "card arrival"


def test_the_shipped_definitions_load():
    tasks = [load_task(path) for path in sorted(CONF.glob("*.yaml"))]
    assert tasks
    assert len({task.name for task in tasks}) == len(tasks)


@pytest.mark.parametrize(
    "changes",
    [
        {"instructions": "Judge it."},
        {"labels": ["fresh", "rotten", "odd"]},
        {"labels": ["rotten", "fresh"]},
        {"labels": {"fresh": "good", "rotten": ""}},
        {"inputs": "body"},
        {"inputs": ["text", "title"]},
        {"examples": [("Superb.", "fresh")]},
        {"prior": "content_free"},
    ],
    ids=lambda changes: " ".join(changes),
)
def test_the_fingerprint_changes_with_what_changes_an_answer(changes):
    assert verdict(**changes).fingerprint != verdict().fingerprint


def test_the_fingerprint_does_not_depend_on_the_name():
    assert verdict(name="judgement").fingerprint == verdict().fingerprint


def test_the_fingerprint_never_changes_between_releases():
    assert verdict().fingerprint == "v1:7117ef58eac2038c825ec046"


LABELS = st.lists(st.text(ascii_lowercase, min_size=1), min_size=1, max_size=4, unique=True)
DESCRIBED = st.dictionaries(st.text(ascii_lowercase, min_size=1), st.text(max_size=8), min_size=1, max_size=4)


@st.composite
def tasks(draw):
    labels = draw(LABELS | DESCRIBED)
    example = st.tuples(st.tuples(st.text(), st.text()), st.sampled_from(list(labels)))
    return classification(
        draw(st.text(ascii_lowercase, min_size=1).map("task_{}".format)), ["title", "body"], labels, draw(st.text()),
        draw(st.none() | st.lists(example, max_size=2)), prior=draw(st.sampled_from([None, "content_free"])),
    )  # fmt: skip


@given(task=tasks())
def test_yaml_gives_back_an_equal_task(tmp_path_factory, task):
    back = load_task(write(tmp_path_factory.getbasetemp(), task.to_yaml()))
    assert back == task
    assert back.fingerprint == task.fingerprint


def test_yaml_may_merge_mappings(tmp_path):
    text = (
        "kind: extraction\nname: v\ninputs: [t]\nfields:\n  seller: &name {type: string, nullable: false}\n"
        "  buyer: {<<: *name, nullable: true, description: who pays}"
    )
    buyer = load_task(write(tmp_path, text)).fields[1]
    assert (buyer.type, buyer.nullable, buyer.description) == ("string", True, "who pays")


GOOD = "kind: classification\nname: v\ninputs: [t]"
WRONG = {
    "a field that does not exist": (GOOD + "\nlabels: [a]\nlabel: b", "label: there is no such field; did you mean"),
    "a field that is missing": (GOOD, "labels: is missing"),
    "a label given twice": (GOOD + "\nlabels:\n  a: x\n  b: y\n  a: z", "'a' is given twice, in lines 5 and 7"),
    "an unknown kind": ("kind: guess\nname: v", "no task kind 'guess'"),
    "no kind": ("name: v", "it has no `kind`"),
    "a list": ("- a\n- b", "it has no `kind`"),
    "an empty file": ("", "it has no `kind`"),
    "a label read as a truth value": (GOOD + "\nlabels: [yes, no]", "label True is not"),
    "no YAML": ("kind: [", 'in "task.yaml", line 1'),
    "a kind that is a list": ("kind: [classification]", "no task kind ['classification']"),
    "a date that no calendar has": (GOOD + "\nlabels: [2020-99-99]", "Cannot read"),
    "half a character": (GOOD + '\nlabels: ["\\uD800", b]', "'\\ud800' "),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_yaml_file_is_named_with_its_field(tmp_path, case):
    text, message = WRONG[case]
    path = write(tmp_path, text)
    with pytest.raises(TaskError) as caught:
        load_task(path)
    assert message in caught.value.message
    assert str(path) in caught.value.message


@pytest.mark.parametrize("path", [None, 5, b"task.yaml"])
def test_a_path_that_is_none_is_refused(path):
    with pytest.raises(TaskError, match="load_task takes the path"):
        load_task(path)


def test_a_missing_yaml_file_is_named(tmp_path):
    with pytest.raises(
        TaskError, match=r"Cannot read the task file .*nowhere\.yaml: No such file or directory\.$"
    ):
        load_task(tmp_path / "nowhere.yaml")


def test_a_binary_file_is_no_task(tmp_path):
    (tmp_path / "task.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TaskError, match=r"Cannot read .*: it is not UTF-8 at byte 0\.\n  Save it as UTF-8\."):
        load_task(tmp_path / "task.yaml")


def test_field_names_that_are_no_text_are_refused_like_others():
    with pytest.raises(TaskError, match="1: "):
        task_from_dict({"kind": "classification", "name": "v", "inputs": ["t"], "labels": ["a"], 1: 2})


def test_a_task_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        verdict().name = "other"


@pytest.mark.parametrize(
    ("yaml", "meant"),
    [
        ("kind: clasification", "classification"),
        (GOOD + "\ninstruction: x\nlabels: [a, b]", "instructions"),
        (GOOD + "\nlabels: [{name: a, descripton: x}, b]", "description"),
    ],
)
def test_a_misspelled_field_is_named_with_the_nearest_one(tmp_path, yaml, meant):
    with pytest.raises(TaskError, match=rf"; did you mean {meant}\?"):
        load_task(write(tmp_path, yaml))


@pytest.mark.parametrize("label", [np.int64(1), np.bool_(True), Color.RED, date(2026, 1, 2), 1.5, None])
def test_a_label_that_is_no_text_is_named(label):
    with pytest.raises(TaskError, match=f"the label {re.escape(repr(label))} is not text"):
        classification("tone", "text", ["good", label])


@pytest.mark.parametrize(
    "label", ["می\u200cخواهم", "👩\u200d👧", "à\u00a0voir", "了\u3000解", np.str_("fine")]
)
def test_a_label_may_have_joiners_and_any_blank(label):
    assert classification("tone", "text", ["good", label]).label_names == ("good", label)


@pytest.mark.parametrize("label", ["a\u202eb", "a\u200bb", "a\tb", "a\u2028b", "\u00a0a"])
def test_a_label_has_no_character_that_hides_or_breaks_it(label):
    with pytest.raises(TaskError, match="whitespace at an end, or control characters"):
        classification("tone", "text", ["good", label])
