"""Which human answers cannot teach a model. No JVM."""

from types import SimpleNamespace

import pytest

from sparklabel import classification, generation, multilabel, rating
from sparklabel.errors import AnswersError
from sparklabel.table.human_answers import HumanAnswer, HumanAnswers
from sparklabel.training.checks import check_answers

TONE = classification("tone", "text", ["calm", "angry", "sad"])
TABLE = SimpleNamespace(
    target=SimpleNamespace(name="films", sql="films"),
    label_columns=SimpleNamespace(value="tone", label="tone_label"),
)


def check(task, *answers, agreed=True, force=False):
    train = tuple(HumanAnswer((f"row {n}",), answer, agreed) for n, answer in enumerate(answers))
    check_answers(HumanAnswers(train, (), {}), task, TABLE, force)


def test_answers_with_every_label_can_teach():
    check(TONE, "calm", "angry", "sad")


@pytest.mark.parametrize(
    ("answers", "message"), [((), "0, they say: nothing"), (("calm", "calm"), "2, they say: only 'calm'")]
)
def test_a_single_label_cannot_teach_even_by_force(answers, message):
    with pytest.raises(AnswersError, match=message) as caught:
        check(TONE, *answers, force=True)
    assert "UPDATE films SET `tone` = '...', `tone_label`.source = 'human' WHERE ...;" in caught.value.hint


def test_a_missing_label_is_named_unless_forced():
    with pytest.raises(AnswersError, match="No human answer says 'sad'"):
        check(TONE, "calm", "angry")
    check(TONE, "calm", "angry", force=True)


def test_answers_that_all_disagree_are_refused_unless_forced():
    with pytest.raises(AnswersError, match="All human answers disagree with the model"):
        check(TONE, "calm", "angry", "sad", agreed=False)
    check(TONE, "calm", "angry", "sad", agreed=False, force=True)


def test_an_adopted_column_need_not_agree_with_anything():
    check(TONE, "calm", "angry", "sad", agreed=None)


def test_a_scale_needs_no_answer_at_every_point():
    check(rating("stars", "text", (1, 5)), 1, 4)


def test_of_lists_some_label_must_be_given_and_not_given():
    task = multilabel("topics", "text", ["art", "war"])
    with pytest.raises(AnswersError, match="too few human answers"):
        check(task, ["art"], ["art"])
    check(task, ["art"], ["art", "war"], force=True)


def test_one_written_answer_can_teach():
    check(generation("reply", "text", "Reply."), "Thank you.")
