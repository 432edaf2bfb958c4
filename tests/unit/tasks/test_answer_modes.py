"""The contract of scored kinds: what a kind says in its one file is enough for the labeler, the card and the counts."""

import json

import numpy as np
import pytest

from sparklabel import (
    answering,
    classification,
    entities,
    extraction,
    generation,
    matching,
    multilabel,
    rating,
)
from sparklabel.tasks import counts

NFC, NFD = "Caf\u00e9", "Cafe\u0301"
INTENT = classification("intent", "text", ["card_arrival", "lost_card", "other"])
SCORED = {
    "classification": (INTENT, "other", None),
    "matching": (matching("same", "a", "b"), False, "no"),
    "multilabel": (multilabel("topics", "text", ["a", "b", "c"]), ["b"], ["d"]),
    "rating": (rating("stars", "text", [1, 2.5, 4]), 1.9, 4.5),
}
"""A task of each kind, a value that it accepts, and one that it does not."""

every_kind = pytest.mark.parametrize("kind", SCORED)


def test_the_most_probable_choice_is_the_value_and_equal_ones_keep_their_order():
    decided = INTENT.answer_mode.decide(np.log([0.2, 0.4, 0.4]))
    assert (decided.value, decided.confidence) == ("lost_card", pytest.approx(0.4))
    assert [a.value for a in decided.alternatives] == ["lost_card", "other", "card_arrival"]


def test_alternatives_end_where_a_choice_that_was_not_computed_might_be_more_probable():
    decided = INTENT.answer_mode.decide(np.array([np.log(0.0004), np.log(0.999), -np.inf]))
    assert [(a.value, pytest.approx(a.probability)) for a in decided.alternatives] == [("lost_card", 0.999)]


def test_a_stored_value_says_its_choice_and_what_is_no_choice_says_none():
    mode = INTENT.answer_mode
    assert [mode.chosen(value) for value in ("other", "Other", "", None)] == [(2,), (), (), ()]


def test_answers_are_counted_by_what_they_say_most_frequent_first():
    found = counts(INTENT.answer_mode, ["other", "lost_card", "other", "?", None])
    assert list(found.items()) == [("other", 2), ("lost_card", 1)]


@pytest.mark.parametrize(
    ("task", "answer", "same"),
    [
        (classification("place", "text", [NFC, "Bar"]), NFD, NFC),
        (classification("place", "text", [NFD, "Bar"]), NFC, NFD),
        (multilabel("places", "text", [NFC, "Bar"]), [NFD], [NFC]),
        (entities("places", "text", [NFC]), [{"text": "a", "type": NFD}], [{"text": "a", "type": NFC}]),
        (entities("places", "text", ["place"]), [{"text": NFC, "type": "place"}], [{"text": NFD, "type": "place"}]),
        (extraction("at", "text", {"place": {"options": [NFC, "Bar"]}}), {"place": NFD}, {"place": NFC}),
        (extraction("at", "text", {"place": "string"}), {"place": NFD}, {"place": NFC}),
        (generation("at", "text", "Where?"), NFD, NFC),
        (answering("at", "question", "context"), f"{NFD} 3", f"{NFC} 3"),
    ],
    ids=lambda part: getattr(part, "kind", ""),
)  # fmt: skip
def test_an_answer_in_another_unicode_form_is_the_same_answer(task, answer, same):
    mode = task.answer_mode
    assert mode.accepts(answer)
    assert mode.agreement(answer, same) == 1.0
    assert mode.categories(answer) == mode.categories(same)


@pytest.mark.parametrize(
    ("task", "answer"),
    [
        (classification("place", "text", [NFC], examples=[("a", NFD)]), NFD),
        (multilabel("places", "text", [NFC], examples=[("a", [NFD])]), [NFD]),
        (entities("places", "text", [NFC], examples=[("a", [])]), [{"text": "a", "type": NFD}]),
        (extraction("at", "text", {"place": {"options": [NFC]}}, examples=[("a", {"place": NFD})]), {"place": NFD}),
    ],
    ids=lambda part: getattr(part, "kind", ""),
)  # fmt: skip
def test_a_model_is_shown_a_label_in_the_form_that_the_task_writes(task, answer):
    assert NFC in task.verbalize(answer)
    assert NFD not in task.verbalize(answer)


@every_kind
def test_choices_are_told_apart_and_survive_json(kind):
    mode = SCORED[kind][0].answer_mode
    assert json.loads(json.dumps(mode.signature)) == list(mode.signature)
    assert len(set(mode.choices)) == len(set(mode.verbalized)) == len(mode.choices) == len(mode.names)
    assert sum(mode.groups) in (0, len(mode.choices))


@every_kind
def test_a_value_is_an_answer_where_it_says_a_choice(kind):
    task, good, bad = SCORED[kind]
    mode = task.answer_mode
    assert [
        bool(found) for found in (mode.chosen(good), mode.categories(good), mode.agreement(good, good))
    ] == [True] * 3
    assert mode.accepts(good)
    assert [mode.accepts(bad), mode.chosen(bad), mode.categories(bad), mode.agreement(bad, bad)] == [
        False,
        (),
        (),
        0.0,
    ]


@every_kind
def test_what_a_model_answers_is_an_answer_and_its_probability_one(kind):
    mode = SCORED[kind][0].answer_mode
    sizes = mode.groups or (len(mode.choices),)
    decided = mode.decide(np.log(np.concatenate([np.full(size, 1 / size) for size in sizes])))
    assert mode.accepts(decided.value)
    assert 0 < decided.confidence <= 1
    assert sorted(decided.alternatives, key=lambda a: -a.probability) == list(decided.alternatives)
    assert 1 <= len(decided.alternatives) <= 5
