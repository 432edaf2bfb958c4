"""Multilabel: every label a question of its own, and the lists that come of it."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparklabel import load_task, multilabel
from sparklabel.engines import ScoringRequest
from sparklabel.engines.fake import ByteTokenizer, FakeEngine
from sparklabel.engines.transformers import TransformersEngine
from sparklabel.errors import TaskError
from sparklabel.label_trie import label_trie
from sparklabel.labeler import Labeler, PreparedTask
from sparklabel.prompts import answer_ids, bare_template, chat_template
from sparklabel.tasks import counts, task_from_dict
from sparklabel.tasks.multilabel import labels_of

TASK = multilabel(
    "topics", "text", ["sports", "world_news", "art"], examples=[("A goal.", ("sports",)), ("-", [])]
)
MODE = TASK.answer_mode


def log_p(yes):
    """[2L] of the probabilities of each label's yes."""
    return np.log(np.stack([yes, 1 - np.asarray(yes)], axis=1).ravel())


def test_every_label_is_asked_yes_or_no_by_itself():
    assert MODE.choices[2:4] == ("world_news: yes", "world_news: no")
    assert MODE.verbalized[2:4] == ("world news: yes", "world news: no")
    assert MODE.groups == (2, 2, 2)
    assert labels_of(MODE) == TASK.label_names


def test_the_labels_that_are_more_probable_than_not_apply_in_the_tasks_order():
    assert MODE.decide(log_p([0.9, 0.5, 0.6])).value == ["sports", "art"]


def test_that_no_label_applies_is_an_answer():
    decided = MODE.decide(log_p([0.1, 0.2, 0.3]))
    assert (decided.value, decided.confidence) == ([], pytest.approx(0.9 * 0.8 * 0.7))


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=7))
def test_the_confidence_is_the_expected_f1_of_the_list(yes):
    names = [f"label {n}" for n in range(len(yes))]
    mode = multilabel("topics", "text", names).answer_mode
    decided = mode.decide(log_p(np.clip(yes, 1e-12, 1 - 1e-12)))
    expected = sum(
        np.prod([p if on else 1 - p for p, on in zip(yes, applies, strict=True)])
        * mode.agreement([name for name, on in zip(names, applies, strict=True) if on], decided.value)
        for applies in product([True, False], repeat=len(yes))
    )
    assert decided.confidence == pytest.approx(expected, abs=1e-9)


def test_many_sure_decisions_are_a_sure_list():
    names = [f"label {n}" for n in range(62)]
    decided = multilabel("topics", "text", names).answer_mode.decide(log_p([0.95] * 3 + [0.02] * 59))
    assert 0.7 < decided.confidence < 0.95


def test_each_label_has_the_confidence_of_its_own_decision():
    decided = MODE.decide(log_p([0.9, 0.2, 0.6]))
    assert [(f.field, pytest.approx(f.confidence)) for f in decided.field_confidence] == [
        ("sports", 0.9),
        ("world_news", 0.8),
        ("art", 0.6),
    ]


@given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=7))
def test_the_alternatives_are_the_five_most_probable_of_all_lists(yes):
    names = [f"label {n}" for n in range(len(yes))]
    decided = multilabel("topics", "text", names).answer_mode.decide(log_p(yes))
    every = {
        tuple(name for name, on in zip(names, applies, strict=True) if on): np.prod(
            [p if on else 1 - p for p, on in zip(yes, applies, strict=True)]
        )
        for applies in product([True, False], repeat=len(yes))
    }
    found = {tuple(a.value): a.probability for a in decided.alternatives}
    assert len(found) == min(5, len(every))
    assert list(found.values()) == pytest.approx(sorted(every.values(), reverse=True)[:5])
    assert all(p == pytest.approx(every[value]) for value, p in found.items())
    assert decided.value == decided.alternatives[0].value


def test_a_stored_list_says_yes_or_no_of_every_label_whatever_its_order():
    assert MODE.chosen(["art", "sports", "art"]) == MODE.chosen(("sports", "art")) == (0, 3, 4)
    assert MODE.chosen([]) == (1, 3, 5)


@pytest.mark.parametrize("value", [None, "sports", ["sports", "weather"], [None], [["sports"]]], ids=str)
def test_what_is_no_list_of_the_labels_is_no_answer(value):
    assert MODE.chosen(value) == ()
    assert MODE.categories(value) == ()


def test_counts_name_the_labels_that_apply():
    assert counts(MODE, [["art", "sports"], [], ["art"], None]) == {"art": 2, "sports": 1, "none of them": 1}


def test_lists_agree_as_sets():
    assert MODE.agreement(["art", "sports"], ["sports", "art"]) == 1.0
    assert MODE.agreement(["art", "sports"], ["sports"]) == pytest.approx(2 / 3)
    assert MODE.agreement([], []) == 1.0
    assert (
        MODE.agreement([], None) == MODE.agreement(["art"], []) == MODE.agreement(["none"], ["none"]) == 0.0
    )


def test_an_example_shows_what_may_be_said_of_every_label_as_it_is_scored():
    prompt = "".join(piece.text for piece in chat_template(TASK, ByteTokenizer()).pieces)
    assert "Text: A goal.\nAnswer: sports: yes\nworld news: no\nart: no\n" in prompt
    assert "Text: -\nAnswer: sports: no\nworld news: no\nart: no\n" in prompt


def test_a_row_gets_its_labels_from_one_reading_of_its_prompt():
    class Counting(FakeEngine):
        requests = 0

        def score(self, request):
            self.requests += 1
            assert len(request.rows) == 1
            return super().score(request)

    engine = Counting()
    (found,) = Labeler(TASK, engine, model="m").label([["art: yes, says the byte engine"]])
    assert found.status == "ok"
    assert "art" in found.value
    assert {f.field: f.confidence for f in found.field_confidence}["art"] > 0.9
    assert engine.requests == 1


@pytest.mark.usefixtures("one_thread")
def test_a_label_is_as_probable_as_if_it_were_asked_alone(tiny_model):
    engine = TransformersEngine.load(tiny_model, dtype="float32")
    template = bare_template(TASK, engine.tokenizer)
    question = PreparedTask.rendered(TASK, engine.tokenizer, template)
    rows = tuple(
        prompt.ids for prompt in question.encoder.encode([["A goal."], ["The long way to the museum."]])
    )

    def probabilities(trie):
        return np.exp(
            trie.log_probabilities(engine.score(ScoringRequest(question.encoder.prefix, rows, trie)))
        )

    alone = [
        probabilities(label_trie(answer_ids(template, engine.tokenizer, pair), pair))
        for pair in (MODE.verbalized[at : at + 2] for at in range(0, 6, 2))
    ]
    assert probabilities(question.trie) == pytest.approx(np.concatenate(alone, axis=1), abs=1e-4)


def test_the_lean_of_every_label_is_corrected_by_itself():
    task = TASK.model_copy(update={"prior": "content_free"})
    (found,) = Labeler(task, FakeEngine(), model="m").label([["[MASK]"]])
    assert len(found.field_confidence) == 3
    assert all(0.5 <= f.confidence <= 1 for f in found.field_confidence)


def test_yaml_gives_back_an_equal_task(tmp_path):
    path = tmp_path / "task.yaml"
    path.write_text(TASK.to_yaml())
    assert load_task(path) == TASK
    assert load_task(path).fingerprint == TASK.fingerprint


def test_labels_may_be_described():
    task = task_from_dict(
        {"kind": "multilabel", "name": "t", "inputs": "x", "labels": {"a": "first", "b": ""}}
    )
    assert task.question().endswith(":\n- a: first\n- b: ")
    assert task.to_dict()["labels"] == {"a": "first", "b": ""}


BAD = {
    "a label twice": ({"labels": ["a", "A"]}, "labels: 'A' differs from 'a' only in whitespace or case"),
    "an answer that is no list": ({"examples": [("x", "a")]}, "'a', which is not a list of labels"),
    "an answer with another label": (
        {"examples": [("x", ["a", "c"])]},
        "'c', which is not one of the labels",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_definition_is_refused(case):
    changes, message = BAD[case]
    with pytest.raises(TaskError) as caught:
        multilabel(**{"name": "topics", "inputs": "text", "labels": ["a", "b"]} | changes)
    assert message in caught.value.message
