"""Extraction: what a model's JSON becomes, which values are answers, and how alike two are."""

import json
import pickle
from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import Row

from sparklabel import extraction, load_task
from sparklabel.engines.fake import FakeEngine
from sparklabel.errors import TaskError
from sparklabel.labeler import Labeler
from sparklabel.tasks import task_from_dict
from sparklabel.tasks.schema import Field
from sparklabel.tasks.structs import struct_mode, struct_text

FIELDS = {
    "vendor": {"nullable": False},
    "total": "number",
    "copies": "integer",
    "paid": "boolean",
    "due": "date",
    "status": {"options": ["open", "closed"]},
    "items": {"many": True},
}
TASK = extraction("invoice", "text", FIELDS)
MODE = TASK.answer_mode
ANSWER = {
    "vendor": "Zoë Ltd.", "total": 2.5, "copies": 2, "paid": True, "due": date(2024, 3, 1), "status": "open",
    "items": ["chair", "table"],
}  # fmt: skip
NOTHING = dict.fromkeys(FIELDS) | {"vendor": "x"}


def read(**fields):
    return MODE.read(json.dumps(NOTHING | fields), ["text"])


def test_what_a_model_writes_is_read_back():
    assert MODE.read(MODE.written(ANSWER), ["text"]).value == ANSWER


def test_the_value_has_the_types_of_spark():
    value = read(total=3, due="2024-03-01").value
    assert (type(value["total"]), value["due"]) == (float, date(2024, 3, 1))


def test_each_field_knows_where_it_is_written():
    reading = struct_mode(TASK.fields[:2], None).read('{"vendor": "Abc", "total": null}', [])
    assert reading.fields == (("vendor", ((12, 15),)), ("total", ((27, 31),)))


def test_each_field_is_right_or_wrong_by_itself():
    assert MODE.field_agreement(ANSWER, ANSWER | {"vendor": "another"}) == [0.0, *[1.0] * (len(FIELDS) - 1)]


BAD = {
    "no json": ("I think it is Abc.", "not JSON"),
    "no object": ("[]", "which has no fields"),
    "another field": ('{"vendor": "x", "who": 1}', "a field 'who', which is not one of the task's"),
    "null where it may not be": (json.dumps(NOTHING | {"vendor": None}), "vendor: None is not text"),
    "an option that is none": (json.dumps(NOTHING | {"status": "shut"}), "'shut' is not one of open, closed"),
    "a day that is none": (json.dumps(NOTHING | {"due": "2023-02-29"}), "due: "),
    "a date in another form": (json.dumps(NOTHING | {"due": "20230228"}), "not a date as YYYY-MM-DD"),
    "a number beyond 64 bits": (json.dumps(NOTHING | {"copies": 2**63}), "does not fit into 64 bits"),
    "a fraction for a whole number": (json.dumps(NOTHING | {"copies": 1.5}), "1.5 is not of type integer"),
    "an infinite number": ('{"vendor": "x", "total": 1e999}', "a number is too large"),
    "a whole number beyond all doubles": (json.dumps(NOTHING | {"total": 10**400}), "a number is too large"),
    "a truth value for a number": (json.dumps(NOTHING | {"total": True}), "True is not of type number"),
    "a number for a truth value": (json.dumps(NOTHING | {"paid": 1}), "1 is not of type boolean"),
    "a text for a list": (json.dumps(NOTHING | {"items": "chair"}), "'chair' is not a list"),
    "half a character": (json.dumps(NOTHING | {"vendor": "\ud800"}), "half a character"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_an_answer_that_no_table_could_hold_is_refused(case):
    text, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        MODE.read(text, ["text"])


_TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
_VALUES = {
    "string": _TEXTS, "integer": st.integers(-(2**63), 2**63 - 1), "boolean": st.booleans(), "date": st.dates(),
    "number": st.floats(allow_nan=False, allow_infinity=False),
}  # fmt: skip


@st.composite
def fields_and_value(draw):
    """Random fields with a value of theirs."""
    kinds = draw(st.lists(st.tuples(st.sampled_from(sorted(_VALUES)), st.booleans()), min_size=1, max_size=5))
    fields = tuple(Field(name=f"f{n}", type=kind, many=many) for n, (kind, many) in enumerate(kinds))
    one = {f.name: st.lists(_VALUES[f.type], max_size=3) if f.many else _VALUES[f.type] for f in fields}
    return fields, draw(st.fixed_dictionaries({name: st.none() | value for name, value in one.items()}))


@given(fields_and_value())
def test_any_value_of_any_fields_survives_being_written_and_read(drawn):
    fields, value = drawn
    mode = struct_mode(fields, None)
    assert mode.read(mode.written(value), []).value == value
    assert mode.accepts(value)
    assert mode.agreement(value, value) == 1


def test_an_option_is_stored_as_the_task_writes_it():
    mode = extraction("at", "text", {"place": {"options": ["caf\u00e9"]}}).answer_mode
    assert mode.read('{"place": "cafe\u0301"}', ["text"]).value == {"place": "caf\u00e9"}


def test_a_row_of_spark_is_an_answer():
    assert MODE.accepts(Row(**ANSWER))
    assert MODE.written(Row(**ANSWER)) == MODE.written(ANSWER)


def test_what_is_missing_is_null_and_keys_come_in_the_fields_order():
    text = struct_text(TASK.fields, {"due": "2024-03-01", "vendor": "x"})
    assert text == (
        '{"vendor": "x", "total": null, "copies": null, "paid": null, "due": "2024-03-01", '
        '"status": null, "items": null}'
    )


@pytest.mark.parametrize("value", [None, "Abc", [], {}, {"vendor": 3}, {"vendor": "x", "who": 1}])
def test_what_does_not_fit_the_fields_is_no_answer(value):
    assert not MODE.accepts(value)


def test_what_is_said_are_the_fields_that_hold_something():
    assert MODE.categories(NOTHING | {"total": 0.0, "paid": False, "items": []}) == (
        "vendor",
        "total",
        "paid",
    )


def test_agreement_is_the_share_of_fields_that_say_the_same():
    other = ANSWER | {"vendor": " zoë  LTD.", "total": 2.5 + 1e-12, "items": ["table", "Chair"], "due": None}
    assert MODE.agreement(ANSWER, other) == pytest.approx(6 / 7)


def test_no_answer_agrees_with_none():
    assert MODE.agreement(ANSWER, None) == 0


def test_the_signature_tells_fields_apart():
    assert MODE.signature != extraction("invoice", "text", FIELDS | {"paid": "string"}).answer_mode.signature


def test_a_mode_travels_to_workers():
    assert pickle.loads(pickle.dumps(MODE)).read(MODE.written(ANSWER), []).value == ANSWER


def test_the_prompt_lists_the_fields_and_asks_for_json():
    task = extraction("invoice", "text", {"total": "number"}, "Read the invoice.")
    assert task.question() == (
        "Read the invoice.\nFields:\n- total (number)\n"
        "Answer with one JSON object that has the fields in this order; null where the text does not say."
    )


def test_a_task_with_examples_comes_back_from_yaml_and_is_a_key():
    task = extraction("invoice", "text", FIELDS, examples=[("Abc, today", Row(**ANSWER))])
    back = task_from_dict(yaml.safe_load(task.to_yaml()))
    assert (back, back.fingerprint, hash(back)) == (task, task.fingerprint, hash(task))


def test_an_example_that_does_not_fit_is_refused():
    with pytest.raises(
        TaskError, match="an example's answer does not fit: copies: 'two' is not of type integer"
    ):
        extraction("invoice", "text", FIELDS, examples=[("t", {"vendor": "x", "copies": "two"})])


def test_max_tokens_may_be_given():
    task = extraction("invoice", "text", FIELDS, max_tokens=99)
    assert (task.answer_mode.max_tokens, MODE.max_tokens > 99) == (99, True)


def test_the_task_in_conf_works():
    task = load_task(Path(__file__).parents[3] / "conf/tasks/invoice.yaml")
    assert task.verbalize(task.examples[0].answer).startswith('{"vendor": "Baker Ltd.", "total": 250.0')


@pytest.mark.parametrize("text", ["Baker Ltd. charges 12 on 2024-02-03, status open.", "nothing", "Zoë"])
def test_the_fake_engine_answers_every_row(text):
    (label,) = Labeler(TASK, FakeEngine(), model="m").label([[text]])
    assert (label.status, MODE.accepts(label.value)) == ("ok", True)
    assert [f.field for f in label.field_confidence] == list(FIELDS)
