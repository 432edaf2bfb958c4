"""Answers that repeat themselves are ended, where they must not repeat."""

import pytest

from sparklabel.language_model.decoding.answer import AnswerInProgress, repeats
from sparklabel.tasks.repetition import until_repetition

BLOCK = list(range(100, 112))


@pytest.mark.parametrize("begun", [[], [1, 2, 3]])
def test_five_times_the_same_block_is_a_repetition(begun):
    assert repeats(begun + BLOCK * 5)
    assert not repeats(begun + BLOCK * 5 + [1])


@pytest.mark.parametrize("ids", [[], [7], BLOCK * 4, [5] * 49, [5, 6] * 24, BLOCK * 4 + BLOCK[:-1]])
def test_less_is_none(ids):
    assert not repeats(ids)


@pytest.mark.parametrize(("may_repeat", "written"), [(True, 72), (False, 60)])
def test_an_answer_is_ended_at_the_fifth_block(may_repeat, written):
    answer = AnswerInProgress([1], max_tokens=72, grammar_state=None, may_repeat=may_repeat)
    for token in BLOCK * 6:
        answer.accept(token, -0.1, stop_ids=[0])
    assert (len(answer.ids), answer.ended, answer.finished) == (written, True, False)


@pytest.mark.parametrize("once", ["", "alpha", "beta, gamma", "again and over"])
@pytest.mark.parametrize("again", [["over"], ["over", "and again"], ["a", "b", "c"]])
def test_what_is_left_of_a_list_that_was_ended_is_a_repetition(once, again):
    items = [*filter(None, [once]), *again * 20]
    text = "[" + ", ".join(f'{{"text": "{item}", "type": "x"}}' for item in items)
    ended = next(n for n in range(len(text)) if repeats(text[:n].encode()))
    assert until_repetition(text[:ended]) is not None
