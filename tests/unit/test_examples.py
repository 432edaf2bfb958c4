"""Which human answers train and which judge, without a table."""

import pytest

from sparklabel import classification
from sparklabel.errors import AnswersError
from sparklabel.training.examples import HumanAnswer, HumanAnswers, _one_vote_each, check_answers

TASK = classification("tone", "text", ["calm", "angry"])


def answers(*pairs):
    return HumanAnswers(tuple(HumanAnswer((text,), answer, agreed) for text, answer, agreed in pairs), (), {})


def test_copies_of_a_text_have_one_vote_in_the_gate():
    copies = [
        HumanAnswer((text,), answer, True)
        for text, answer in [("A b", "calm"), ("a  B", "calm"), ("a b", "angry")]
    ]
    other = HumanAnswer(("c",), "angry", True)
    assert [(a.inputs, a.answer) for a in _one_vote_each([*copies, other])] == [
        (("A b",), "calm"),
        (("c",), "angry"),
    ]


def test_an_adopted_column_may_train_although_no_model_agreed():
    check_answers(answers(("a", "calm", None), ("b", "angry", None)), TASK, "t", force=False)


def test_corrections_alone_are_refused_unless_forced():
    found = answers(("a", "calm", False), ("b", "angry", False))
    with pytest.raises(AnswersError, match="All human answers disagree"):
        check_answers(found, TASK, "t", force=False)
    check_answers(found, TASK, "t", force=True)
