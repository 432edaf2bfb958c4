"""The contract of scored kinds: what a kind says in its one file is enough for the labeler, the card and the counts."""

from functools import partial
from typing import ClassVar

import numpy as np
import pytest

from sparklabel import classification
from sparklabel.constraints import label_trie
from sparklabel.engines.fake import FakeEngine
from sparklabel.labeler import Labeler
from sparklabel.labels import Alternative
from sparklabel.tasks import Scored, Task
from sparklabel.tasks.answer_modes import Decision, most_probable, one_of

INTENT = classification("intent", "text", ["card_arrival", "lost_card", "other"])


class Matching(Task):
    """A kind whose values are no text."""

    kind: str = "matching"
    value_type: ClassVar[str] = "BOOLEAN"

    @property
    def answer_mode(self) -> Scored:
        return one_of((True, False), ("match", "other"), metrics="matching")

    def question(self) -> str:
        return "The same?"


class Rating(Task):
    """A kind whose value is none of its choices: the expectation over them."""

    kind: str = "rating"
    value_type: ClassVar[str] = "DOUBLE"
    steps: tuple[float, ...] = (1.0, 2.0, 3.0)

    @property
    def answer_mode(self) -> Scored:
        return Scored(
            choices=self.steps, spoken=("bad", "fair", "good"), decide=partial(_expectation, self.steps),
            chosen=self._nearest, metrics="rating",
        )  # fmt: skip

    def _nearest(self, value: float | None) -> tuple[int, ...]:
        if value is None or not self.steps[0] <= value <= self.steps[-1]:
            return ()
        return (int(np.argmin([abs(step - value) for step in self.steps])),)

    def question(self) -> str:
        return "How good?"


def _expectation(steps, log_p):
    value = float(np.exp(log_p) @ steps)
    near = np.abs(np.asarray(steps) - value) <= 0.5
    return Decision(value, float(np.exp(log_p)[near].sum()), most_probable(steps, log_p).alternatives)


def label(task, text):
    return Labeler(task, FakeEngine(), model="m").label([[text]])[0]


def test_the_most_probable_choice_is_the_value_and_equal_ones_keep_their_order():
    decided = INTENT.answer_mode.decide(np.log([0.2, 0.4, 0.4]))
    assert (decided.value, decided.confidence) == ("lost_card", pytest.approx(0.4))
    assert [a.value for a in decided.alternatives] == ["lost_card", "other", "card_arrival"]


def test_a_stored_value_says_its_choice_and_what_is_no_choice_says_none():
    mode = INTENT.answer_mode
    assert [mode.chosen(value) for value in ("other", "Other", "", None)] == [(2,), (), (), ()]


def test_answers_are_counted_by_what_they_say():
    mode = Rating(name="stars", inputs=("text",)).answer_mode
    assert mode.counts([3.0, 1.2, 1.0, None, 9.0]) == {"1.0": 2, "3.0": 1}


def test_a_value_may_be_a_truth_value():
    found = label(Matching(name="same", inputs=("text",)), "a match")
    assert found.value is True
    assert found.alternatives == (
        Alternative(True, found.confidence),
        Alternative(False, 1 - found.confidence),
    )


def test_a_value_may_be_the_expectation_over_the_choices():
    found = label(Rating(name="stars", inputs=("text",)), "good")
    shares = {a.value: a.probability for a in found.alternatives}
    assert found.value == pytest.approx(sum(step * share for step, share in shares.items()))
    assert found.confidence == pytest.approx(sum(p for s, p in shares.items() if abs(s - found.value) <= 0.5))


def test_yes_and_no_of_a_label_weigh_the_same_whichever_labels_are_asked_beside_it():
    """So a kind that asks once a label is scored in one go: its choices are "label: yes" and "label: no" of each."""
    alone, together = ([(7, 5), (7, 6)], [(7, 5), (7, 6), (8, 5), (8, 6), (8, 9, 5), (8, 9, 6)])
    logits = {5: 0.3, 6: -1.1, 7: 4.0, 8: 0.5, 9: 2.0}
    odds = []
    for paths in (alone, together):
        trie = label_trie(paths, list(map(str, paths)))
        log_p = trie.log_probabilities(np.array([[logits[t] for t in trie.option_tokens]], dtype=np.float32))[
            0
        ]
        odds.append(log_p[0] - log_p[1])
    assert odds == pytest.approx([1.4, 1.4])
