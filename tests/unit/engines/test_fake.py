"""What the fake engine writes: answers that fit, the same every time, with the bookkeeping of a real engine."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparklabel.engines import GenerationRequest
from sparklabel.engines.fake import FakeEngine
from sparklabel.errors import EngineError
from sparklabel.tasks.schema import Field, json_schema
from sparklabel.tasks.structs import struct_mode

TAIL = 257


def written(text, schema=None, *, max_tokens=1000, model="fake", **options):
    rows = ((*f" {text}".encode(), TAIL),)
    (answer,) = FakeEngine(model, **options).generate(GenerationRequest((), rows, schema, max_tokens))
    return answer


def field(text, **what):
    return json.loads(written(text, json_schema([Field(name="a", nullable=False, **what)])).text)["a"]


def test_free_text_is_the_rows_first_words():
    assert written("one two  three").text == "one two three"


def test_the_prompts_tail_is_not_copied():
    rows = (tuple(b" one two\nSummary:"),)
    (answer,) = FakeEngine().generate(GenerationRequest((), rows, None, 99))
    assert answer.text == "one two"


def test_each_type_is_taken_from_the_row():
    row = "Zoe pays 12 on 2024-02-03, open"
    assert field(row, type="integer") == field(row, type="number") == 12
    assert field(row, type="date") == "2024-02-03"
    assert field(row, options=("open", "shut")) == "open"
    assert field(row) in row


def test_what_the_row_does_not_say_is_made_up_where_it_cannot_be_null():
    assert isinstance(field("nothing", type="integer"), int)
    assert field("nothing", options=("open", "shut")) in ("open", "shut")
    assert field("!") == "word"


def test_what_may_be_null_is_null_where_the_row_says_nothing():
    fields = [Field(name="a", type="integer"), Field(name="b", type="date")]
    assert written("nothing", json_schema(fields)).text == '{"a": null, "b": null}'


def test_the_same_request_gets_the_same_answer_and_another_model_another():
    assert written("a text") == written("a text")
    assert written("a text").log_p != written("a text", model="other").log_p


def test_a_token_inside_a_character_ends_where_the_character_begins():
    answer = written("né")
    assert (answer.text, answer.ends) == ("né", (1, 1, 2))


def test_an_answer_that_is_cut_is_not_finished_and_holds_whole_characters():
    answer = written("né", max_tokens=2)
    assert (answer.text, answer.ends, answer.finished) == ("n", (1, 1), False)


def test_a_batch_fails_on_the_text_that_it_was_told():
    assert written("good", fail_on="bad").finished
    with pytest.raises(EngineError):
        written("a bad row", fail_on="bad")


@given(
    st.text(max_size=30),
    st.lists(st.sampled_from(["string", "integer", "number", "boolean", "date"]), min_size=1),
)
def test_json_fits_any_fields_and_any_row(text, types):
    fields = tuple(
        Field(name=f"f{n}", type=kind, many=n % 3 == 0, nullable=n % 2 == 0)
        for n, kind in enumerate(types[:6])
    )
    mode = struct_mode(fields, None)
    answer = written(text, mode.schema, max_tokens=mode.max_tokens)
    assert answer.finished
    assert mode.accepts(mode.read(answer.text, [text]).value)
    assert len(answer.ends) == len(answer.log_p) == len(answer.text.encode())
    assert (answer.ends[-1], max(answer.log_p) <= 0) == (len(answer.text), True)
