"""Answers of a model that was not fine-tuned, mixed with how near a text is to the labels' names."""

import numpy as np
import pytest

from sparklabel import classification, multilabel
from sparklabel.engines.fake import FakeEngine
from sparklabel.errors import SetupError, TaskError
from sparklabel.labeler import Labeler
from sparklabel.models.references import EMBEDDED, ResolvedModel
from sparklabel.udf import LabelerSpec, zero_shot_of
from sparklabel.udf.spec import engine_spec

LABELS = ["refund", "card", "other"]
ROWS = [["zzz refund"], ["the card of a card"], ["who knows"], ["refund the card"]]


class Words:
    """An encoder whose vectors are how often a text has each label's name, and a little of anything else."""

    identity = "words"

    def embed(self, texts):
        counts = np.array([[*(text.count(label) for label in LABELS), 0.5] for text in texts], np.float32)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


def task(labels=LABELS, **options):
    return classification("intent", "text", labels, "What is it?", **options)


def labeler(asked, **options):
    return Labeler(asked, FakeEngine("m"), model="m", open_encoder=Words, **{"zero_shot": "mixed"} | options)


def test_which_label_is_listed_first_decides_nothing():
    one, other = (labeler(task(labels)).label(ROWS) for labels in (LABELS, LABELS[::-1]))
    assert [(a.value, a.confidence, a.alternatives) for a in one] == [
        (a.value, a.confidence, a.alternatives) for a in other
    ]


def test_probabilities_are_in_the_order_of_the_tasks_labels():
    asked = labeler(task())
    log_p = asked.log_probabilities(ROWS)
    assert [LABELS[number] for number in log_p.argmax(axis=1)] == [one.value for one in asked.label(ROWS)]
    assert np.exp(log_p).sum(axis=1) == pytest.approx(1)


def test_names_count_beside_the_language_model():
    mixed, alone = labeler(task()), labeler(task(), zero_shot="lm")
    near = mixed.log_probabilities([["card card card"]]) - alone.log_probabilities([["card card card"]])
    assert near[0].argmax() == LABELS.index("card")


def test_a_record_has_the_fingerprint_of_the_task_as_it_is_written():
    [label] = labeler(task()).label(ROWS[:1])
    assert label.task_fingerprint == task().fingerprint


def spec(asked, source="embedded", manifest=""):
    model = ResolvedModel(EMBEDDED, source, f"{EMBEDDED}@sha256:0", "0" * 64, manifest=manifest)
    return LabelerSpec(asked, model, engine_spec("transformers", {}), zero_shot=zero_shot_of(asked, model))


EXAMPLES = [("give it back", "refund")]


@pytest.mark.parametrize(
    ("asked", "mode"),
    [
        (spec(task()), "mixed"),
        (spec(task(), source="hub"), "lm"),
        (spec(task(zero_shot="mixed"), source="hub"), "mixed"),
        (spec(task(zero_shot="lm")), "lm"),
        (spec(task(examples=EXAMPLES)), "lm"),
        (spec(task(examples=EXAMPLES, zero_shot="mixed")), "mixed"),
        (spec(task(candidates=2)), "lm"),
        (spec(task(), manifest="{}"), "lm"),
        (spec(multilabel("topics", "text", LABELS)), "lm"),
    ],
)  # fmt: skip
def test_the_embedded_model_is_mixed_unless_the_task_says_more(asked, mode):
    assert asked.zero_shot == mode


def test_without_the_encoder_the_embedded_model_answers_alone(monkeypatch):
    monkeypatch.setattr("sparklabel.models.shipped_encoder.find_spec", lambda name: None)
    assert spec(task()).zero_shot == "lm"
    with pytest.raises(SetupError, match=r"The sentence encoder .* is not installed"):
        spec(task(zero_shot="mixed"))


def test_answers_of_a_mixture_are_not_taken_for_those_of_the_model_alone():
    assert spec(task()).decision != spec(task(zero_shot="lm")).decision == ""


def test_what_is_asked_for_is_in_the_fingerprint():
    prints = {task(zero_shot=mode).fingerprint for mode in (None, "lm", "mixed")}
    assert len(prints) == 3


def test_a_mixture_of_candidates_is_refused():
    with pytest.raises(TaskError, match="zero_shot='mixed' and candidates= cannot be combined"):
        task(candidates=2, zero_shot="mixed")
