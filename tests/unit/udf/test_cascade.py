"""Whom a cascade asks about a row: the second model, where the first is not sure or has no answer."""

import pyarrow as pa
import pytest

from sparklabel import classification
from sparklabel.labels.record import Label
from sparklabel.udf import labeler_spec, with_fallback
from sparklabel.udf.loading import Slot
from sparklabel.udf.worker import _Cascade, is_unsure, label_batches

TASK = classification("verdict", "text", ["fresh", "rotten"], "Judge.")
RECORD = pa.struct([("model", pa.string()), ("status", pa.string())])


@pytest.mark.parametrize(
    ("status", "confidence", "asks"),
    [
        ("ok", 0.8, False), ("ok", 0.79, True), ("ok", None, True), ("truncated", 0.9, False),
        ("invalid_output", None, True), ("too_long", None, True),
        ("empty_input", None, False), ("engine_error", None, False), ("timeout", None, False),
    ],
)  # fmt: skip
def test_the_second_model_is_asked_where_the_first_is_not_sure_or_has_no_answer(status, confidence, asks):
    assert is_unsure(Label(status=status, confidence=confidence), 0.8) == asks


def labels(texts, **options):
    spec = with_fallback(labeler_spec(TASK, "small", "fake", {}, **options), "large", 0.8, None, "fake", {})
    rows = pa.StructArray.from_arrays([pa.array(texts)], names=["text"])
    (found,) = label_batches(spec, iter([rows]), RECORD)
    return [(one["model"], one["status"]) for one in found.to_pylist()]


def test_rows_keep_their_order():
    asked = labels(["what", "it is fresh", None, "who", "it is rotten"])
    assert [model for model, _ in asked] == [
        "fake:large",
        "fake:small",
        "fake:small",
        "fake:large",
        "fake:small",
    ]


def test_each_model_of_a_cascade_has_the_confidence_from_which_its_answers_stand():
    spec = with_fallback(labeler_spec(TASK, "small", "fake", {}), "large", 0.8, "fake", "fake", {})
    assert spec.models == {"fake:small": 0.8, "fake:large": 0.0}


def test_the_last_answer_is_withheld_below_the_threshold():
    assert labels(["what", "it is fresh"], min_confidence=0.8) == [
        ("fake:large", "uncertain"),
        ("fake:small", "ok"),
    ]


def test_an_answer_that_would_be_withheld_is_asked_of_the_second_model_first():
    spec = with_fallback(labeler_spec(TASK, "small", "fake", {}, 0.9), "large", 0.1, None, "fake", {})
    assert spec.models == {"fake:small": 0.9, "fake:large": 0.0}
    assert labels(["what"], min_confidence=0.999) == [("fake:large", "uncertain")]


def test_where_the_second_model_has_no_answer_the_first_ones_stays():
    spec = with_fallback(labeler_spec(TASK, "small", "fake", {}), "large", 0.8, None, "fake", {})
    cascade = _Cascade(spec, Slot())
    first = Label(status="ok", value="fresh", confidence=0.5, model="a", prompt_tokens=7)
    kept = cascade._settled(first, Label(status="too_long", model="b", error="12 tokens too many"))
    assert (kept.value, kept.model, kept.error) == ("fresh", "a", "asked of b as well: 12 tokens too many")
    assert cascade._settled(first, Label(status="timeout", model="b")).status == "timeout", (
        "it is tried again"
    )
    assert (
        cascade._settled(first, Label(status="ok", model="b", value="rotten", prompt_tokens=5)).prompt_tokens
        == 5
    )


def test_a_cascade_decides_otherwise_than_its_first_model():
    alone = labeler_spec(TASK, "small", "fake", {})
    decisions = {
        with_fallback(alone, model, below, None, "fake", {}).decision
        for model, below in [("large", 0.8), ("large", 0.7), ("larger", 0.8)]
    }
    assert len(decisions | {alone.decision}) == 4


def test_both_models_of_a_cascade_are_isolated_where_a_worker_died():
    spec = with_fallback(labeler_spec(TASK, "small", "fake", {}), "large", 0.8, None, "fake", {})
    assert [one.engine.shared for one in spec.isolated().in_turn] == [True, True]
