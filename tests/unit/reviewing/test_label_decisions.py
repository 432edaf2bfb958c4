"""What becomes of a row: its answer is written, changed, given back, or left to whoever gave another one."""

import pytest

from sparklabel.reviewing.records import ANSWER, UNDO, Before, Event
from sparklabel.reviewing.table.label_decisions import Decision, Held, Verdict

ANN = Before(value="a", reviewer="ann", reviewed_at="2026-01-01T00:00:00+00:00")
BY_ANN = Held(True, "a", "ann", ANN.reviewed_at)
UNSIGNED = Before(value="b")


def at(seq):
    return f"2026-02-01T00:00:{seq:02}+00:00"


def verdict(*words, labels="abc"):
    """Of events from (reviewer, value, before); an undo has no value."""
    events = [
        Event(
            event_id=str(seq), task="t", key="{}", input_hash="h", kind=ANSWER if value else UNDO, value=value,
            reviewer=reviewer, seq=seq, answered_at=at(seq), before=before, reason="audit",
        )
        for seq, (reviewer, value, before) in enumerate(words)
    ]  # fmt: skip
    return Verdict.of(events, set(labels).__contains__)


NONE = Before()
KIM_A = ("kim", "a", NONE)


def test_a_row_of_the_models_gets_the_answer():
    assert verdict(KIM_A).decide(Held(False, "b")) == Decision("write", "a", "kim", at(0), "audit")


@pytest.mark.parametrize(
    ("words", "held"),
    [
        ([KIM_A], Held(True, "a", "kim", at(0))),
        ([KIM_A, ("kim", None, NONE)], Held(False, "b")),
        ([KIM_A, ("lee", "b", NONE)], Held(False, "b")),
        ([KIM_A, ("kim", None, NONE)], BY_ANN),
        ([KIM_A], Held(True, "a", "sql", at(9))),
    ],
    ids=["written", "undone", "disputed", "undone-of-another", "says-the-same"],
)
def test_a_row_is_left_as_it_is(words, held):
    assert verdict(*words).decide(held) == Decision()


@pytest.mark.parametrize(
    ("before", "held"),
    [
        (ANN, BY_ANN),
        (UNSIGNED, Held(True, "b")),
        (UNSIGNED, Held(True, "b", None, at(5))),
    ],
    ids=["signed", "unsigned", "stamped-since"],
)
def test_another_persons_answer_is_replaced_by_who_saw_it(before, held):
    assert verdict(("kim", "c", before)).decide(held).action == "write"


@pytest.mark.parametrize(
    ("before", "held"),
    [(NONE, BY_ANN), (ANN, Held(True, "b", "ann", ANN.reviewed_at)), (NONE, Held(True, None))],
    ids=["not-seen", "changed-since", "set-to-null"],
)
def test_another_persons_answer_that_was_not_seen_stays(before, held):
    assert verdict(("kim", "c", before)).decide(held) == Decision(refused="answered_by_others")


def test_our_own_answer_is_replaced_by_a_later_one():
    found = verdict(KIM_A, ("kim", "b", NONE)).decide(Held(True, "a", "kim", at(0)))
    assert (found.action, found.value) == ("write", "b")


@pytest.mark.parametrize("by", [at(0), at(1)])
def test_what_was_written_goes_back_to_the_model(by):
    words = [KIM_A, ("kim", "a", Before(value="a", reviewer="kim", reviewed_at=at(0))), ("kim", None, NONE)]
    assert verdict(*words).decide(Held(True, "a", "kim", by)) == Decision("to_model")


def test_what_was_written_goes_back_to_the_person_whose_answer_it_replaced():
    words = [KIM_A, ("kim", "c", ANN), ("kim", None, NONE)]
    found = verdict(*words).decide(Held(True, "c", "kim", at(1)))
    assert found == Decision("give_back", "a", "ann", ANN.reviewed_at)


def test_a_value_that_the_task_does_not_have_any_more_is_not_written():
    assert verdict(KIM_A, labels="bc").decide(Held(False, "b")) == Decision(refused="task_changed")


def test_an_answer_without_rows_is_told_and_an_undone_one_is_not():
    assert verdict(KIM_A).without_rows == "text_changed"
    assert not verdict(KIM_A, ("kim", None, NONE)).without_rows
