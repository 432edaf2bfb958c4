"""Answers that repeat themselves are ended, where they must not repeat."""

import pytest

from sparklabel.language_model.decoding.answer import AnswerInProgress, repeats

BLOCK = list(range(100, 112))


@pytest.mark.parametrize("begun", [[], [1, 2, 3]])
def test_four_times_the_same_block_is_a_repetition(begun):
    assert repeats(begun + BLOCK * 4)
    assert not repeats(begun + BLOCK * 4 + [1])


@pytest.mark.parametrize("ids", [[], [7], BLOCK * 3, [5] * 39, [5, 6] * 19, BLOCK * 3 + BLOCK[:-1]])
def test_less_is_none(ids):
    assert not repeats(ids)


@pytest.mark.parametrize(("may_repeat", "written"), [(True, 60), (False, 48)])
def test_an_answer_is_ended_at_the_fourth_block(may_repeat, written):
    answer = AnswerInProgress([1], max_tokens=60, grammar_state=None, may_repeat=may_repeat)
    for token in BLOCK * 5:
        answer.accept(token, -0.1, stop_ids=[0])
    assert (len(answer.ids), answer.ended, answer.finished) == (written, True, False)
