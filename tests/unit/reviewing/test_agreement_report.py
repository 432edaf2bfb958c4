"""How far people agree, from events."""

import pytest

from sparklabel import multilabel, rating
from sparklabel.reviewing.agreement_report import agreement_report
from sparklabel.reviewing.records import ANSWER, RESOLVE, Event
from sparklabel.tasks import classification

TASK = classification("t", "text", ["a", "b"])


def events(*said, kind=ANSWER):
    """Of (input, reviewer, value)."""
    return [
        Event(
            event_id=str(seq), task="t", key="{}", input_hash=name, kind=kind, value=value, reviewer=who, seq=seq,
            answered_at=f"2026-01-01T00:00:{seq:02}+00:00",
        )
        for seq, (name, who, value) in enumerate(said)
    ]  # fmt: skip


def test_shared_rows_are_compared_and_those_of_one_person_counted():
    said = [
        ("1", "ann", "a"),
        ("1", "bo", "a"),
        ("2", "ann", "a"),
        ("2", "bo", "b"),
        ("3", "ann", "b"),
        ("4", "cy", "a"),
    ]
    found = agreement_report([*events(*said), *events(("3", "lee", "a"), kind=RESOLVE)], TASK, "t_answers")
    assert (found.rows, found.shared, found.disputed, found.decided) == (4, 2, 1, 1)
    assert dict(found.people) == {"ann": 3, "bo": 2, "cy": 1}
    (pair,) = found.pairs
    assert (pair.one, pair.other, pair.rows, pair.same, pair.kappa) == ("ann", "bo", 2, 1, 0.0)
    assert found.alpha == pytest.approx(0.0)


def test_who_differ_most_often_come_first():
    said = [(name, who, value) for name in "12" for who, value in (("ann", "a"), ("bo", "a"), ("cy", "b"))]
    found = agreement_report(
        [*events(*said), *events(("3", "ann", "b"), ("3", "bo", "b"))], TASK, "t_answers"
    )
    assert [(pair.one, pair.other) for pair in found.pairs] == [("ann", "cy"), ("bo", "cy"), ("ann", "bo")]
    assert "ann and cy: 0 of 2 alike" in str(found)


def test_the_order_of_labels_does_not_matter():
    found = agreement_report(
        events(("1", "ann", ["a", "b"]), ("1", "bo", ["b", "a"])),
        multilabel("t", "text", ["a", "b"]),
        "answers",
    )
    assert found.pairs[0].same == 1


def test_numbers_are_compared_by_their_distance():
    task = rating("t", "text", [1, 2, 3, 4, 5])
    near = [("1", "ann", 1.0), ("1", "bo", 2.0), ("2", "ann", 5.0), ("2", "bo", 4.0)]
    found = agreement_report(events(*near), task, "answers")
    assert found.alpha is not None
    assert found.alpha > 0.5


def test_without_answers_there_is_nothing_to_say():
    found = agreement_report([], TASK, "t_answers")
    assert (found.rows, found.alpha, found.pairs) == (0, None, [])
    assert "unknown" in str(found)
