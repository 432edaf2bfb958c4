"""What answers come to: words, majorities, disputes, undone answers, a lead's decisions."""

import pytest

from sparklabel.reviewing.records import ANSWER, FLAG, RESOLVE, SKIP, UNDO, Event
from sparklabel.reviewing.resolve import resolve


def said(*words):
    """Events from (reviewer, kind, value)."""
    return [
        Event(
            event_id=str(seq), task="t", key="{}", input_hash="h", kind=kind, value=value, reviewer=reviewer, seq=seq,
            answered_at=f"2026-01-01T00:00:{seq:02}+00:00",
        )
        for seq, (reviewer, kind, value) in enumerate(words)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ([("ann", ANSWER, "a")], "a"),
        ([("ann", ANSWER, "a"), ("ann", ANSWER, "b")], "b"),
        ([("ann", ANSWER, "a"), ("bo", ANSWER, "b"), ("cy", ANSWER, "b")], "b"),
        ([("ann", ANSWER, "a"), ("bo", ANSWER, "b"), ("bo", UNDO, None)], "a"),
        ([("ann", ANSWER, "a"), ("bo", SKIP, None), ("cy", FLAG, None)], "a"),
        ([("ann", ANSWER, None)], None),
        ([("ann", ANSWER, {"x": 1, "y": 2}), ("bo", ANSWER, {"y": 2, "x": 1})], {"y": 2, "x": 1}),
        ([("ann", ANSWER, "a"), ("bo", ANSWER, "b"), ("lee", RESOLVE, "c"), ("ann", ANSWER, "b")], "c"),
        ([("lee", ANSWER, "a"), ("lee", RESOLVE, "c"), ("lee", UNDO, None)], "a"),
        ([("ann", ANSWER, "a"), ("bo", ANSWER, "b"), ("bo", SKIP, None)], "a"),
    ],
)
def test_answers_that_come_to_one(words, value):
    found = resolve(said(*words))
    assert (found.is_answered, found.is_disputed, found.value) == (True, False, value)


def test_people_who_are_evenly_divided_dispute():
    found = resolve(said(("ann", ANSWER, "a"), ("bo", ANSWER, "b")))
    assert (found.is_answered, found.is_disputed) == (False, True)
    assert found.votes == {"ann": "a", "bo": "b"}


@pytest.mark.parametrize(
    "words",
    [
        [],
        [("ann", ANSWER, "a"), ("ann", UNDO, None)],
        [("ann", SKIP, None)],
        [("ann", ANSWER, "a"), ("ann", SKIP, None)],
    ],
)
def test_no_word_is_no_answer(words):
    found = resolve(said(*words))
    assert (found.is_answered, found.is_disputed) == (False, False)


def test_the_answer_is_that_of_the_last_person_who_gave_it():
    found = resolve(said(("ann", ANSWER, "a"), ("bo", ANSWER, "b"), ("cy", ANSWER, "b")))
    assert (found.reviewer, found.answered_at) == ("cy", "2026-01-01T00:00:02+00:00")
