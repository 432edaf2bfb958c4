"""A task's session: what is shown, whose suggestion, what is told to the probe, what the answers come to."""

from dataclasses import replace

import numpy as np
import pytest

from sparklabel.reviewing.asking.queue import ReviewQueue
from sparklabel.reviewing.asking.session import TaskSession
from sparklabel.reviewing.asking.suggestions import places_of
from sparklabel.reviewing.asking.suspicious_rows import why_none
from sparklabel.reviewing.people import Person
from sparklabel.reviewing.probe.scores import Scores
from sparklabel.reviewing.records import ANSWER, PROBE, Before, Event, Shown
from sparklabel.reviewing.requests import EventIn, FilterIn, NextIn
from sparklabel.tasks import answering, entities, extraction, multilabel, rating
from tests.unit.reviewing.reviews import TASK, text_row, text_rows

ANN = Person("ann", "annotator")
AT = "2026-01-01T00:00:00.000000+00:00"


class Told:
    """A probe that notes what it is told."""

    def __init__(self):
        self.rows, self.answers = [], []

    def tell(self, rows=(), answers=()):
        self.rows += rows
        self.answers += answers

    def status(self):
        return ""

    def close(self):
        pass


def opened(rows=None, task=TASK, probe=None):
    rows = text_rows(60) if rows is None else rows
    return TaskSession(task, rows, ReviewQueue(rows), probe)


def given(row, value, number=0, kind=ANSWER, **fields):
    return EventIn(event_id=f"{row}-{kind}-{number}", id=row, kind=kind, value=value, **fields)


def answer(session, row, value, person=ANN, seq=1, **fields):
    """Checks and applies an event, as the state does."""
    (found,) = session.check([given(row, value, seq, **fields)], person, AT)
    assert isinstance(found, Event), found
    return session.apply(replace(found, seq=seq))


def scores(rows, good, learned_from):
    """The probe is sure that each row is good, or that it is bad."""
    n = len(rows)
    best = np.tile(np.array([0, 1] if good else [1, 0], np.int16), (n, 1))
    return Scores(
        hashes=tuple(row.input_hash for row in rows), best=best,
        probability=np.tile(np.array([0.9, 0.1], np.float32), (n, 1)), margin=np.full(n, 0.8, np.float32),
        order=np.arange(n, dtype=np.int32), featured=n, learned_from=learned_from,
    )  # fmt: skip


def use(session, found):
    session.take_scores(found, places_of(found.hashes), found.queue())


def learners(count, **fields):
    return [text_row(number, is_held_out=False, **fields) for number in range(count)]


def test_the_models_suggestion_is_shown_until_the_probe_was_right_more_often():
    rows = learners(80)
    session = opened(rows)
    use(session, scores(rows, good=True, learned_from=40))
    assert session.suggestion(rows[1]).by == "model"
    for seq in range(1, 21):
        answer(session, f"h{2 * seq + 1}", "good", seq=seq)  # the model says bad of odd numbers
    assert session.suggestion(rows[1]).by == PROBE
    assert session.suggestion(rows[1]).value == "good"


def test_before_thirty_answers_the_probe_is_not_heard():
    rows = learners(80)
    session = opened(rows)
    use(session, scores(rows, good=True, learned_from=29))
    for seq in range(1, 21):
        answer(session, f"h{2 * seq + 1}", "good", seq=seq)
    assert session.suggestion(rows[1]).by == "model"


def test_an_answer_judges_the_suggestion_that_the_probe_had_before_it_learned():
    rows = learners(4)
    session = opened(rows, probe=Told())
    use(session, scores(rows, good=True, learned_from=30))
    answer(session, "h1", "good")
    use(session, scores(rows, good=False, learned_from=31))
    assert session.suggestions.right(PROBE) == (1, 1)


def test_held_out_rows_have_no_suggestion_and_are_not_told_to_the_probe():
    probe, rows = Told(), [text_row(1, is_held_out=True), text_row(2, is_held_out=False)]
    session = opened(rows, probe=probe)
    session.tell_all()
    use(session, scores(rows, good=True, learned_from=99))
    answer(session, "h1", "good", seq=1)
    answer(session, "h2", "good", seq=2)
    assert session.suggestion(rows[0]) is None
    assert ([name for name, _ in probe.rows], probe.answers) == (["h2"], [("h2", "good")])


def test_the_rows_whose_label_the_probe_doubts_can_be_asked_for():
    rows = learners(6)
    session = opened(rows)
    suspicious = NextIn(filter=FilterIn(status="suspicious"))
    use(session, scores(rows, good=True, learned_from=29))
    assert session.next(ANN, suspicious, 0.0) == ([], why_none(29))
    use(session, scores(rows, good=True, learned_from=30))
    asked, _ = session.next(ANN, suspicious, 0.0)
    assert [row.input_hash for row in asked] == ["h1", "h3", "h5"]  # of odd numbers the model says bad


def test_an_undone_answer_is_taken_back_from_the_probe():
    probe = Told()
    session = opened(learners(1), probe=probe)
    answer(session, "h0", "good", seq=1)
    answer(session, "h0", None, kind="undo", seq=2)
    assert probe.answers == [("h0", "good"), ("h0", None)]


def test_the_probes_order_decides_who_is_asked_next():
    rows = learners(5)
    session = opened(rows)
    session.take_scores(scores(rows, True, 1), {}, ["h3", "h1"])
    drawn = session.queue.next("ann", 2, (), 0.0)
    assert [row.input_hash for row in drawn] == ["h3", "h1"]


def test_events_that_overtake_each_other_are_resolved_by_their_numbers():
    session = opened(learners(1))
    early, late = (
        Event(
            event_id=str(seq),
            task="tone",
            key="{}",
            input_hash="h0",
            kind=ANSWER,
            value=value,
            reviewer="ann",
            seq=seq,
        )
        for seq, value in ((1, "good"), (2, "bad"))
    )
    session.apply(late)
    session.apply(early)
    assert session.history.resolution("h0").value == "bad"


def test_replayed_events_give_the_same_state():
    live, rows = opened(), text_rows(60)
    for seq, row in enumerate(rows[:30], 1):
        answer(
            live, row.input_hash, "good" if seq % 3 else "bad", person=Person("ab"[seq % 2], "lead"), seq=seq
        )
    answer(live, "h0", None, person=Person("b", "lead"), kind="undo", seq=31)
    answer(live, "h1", "bad", person=Person("b", "lead"), seq=32)
    answer(live, "h2", None, person=Person("a", "lead"), kind="skip", seq=33)
    events = sorted(
        (event for row in rows for event in live.history.events(row.input_hash)), key=lambda e: e.seq
    )
    again = opened()
    again.replay(events)
    for name in ("answered", "last_seq", "disputed", "flagged"):
        assert getattr(again.history, name) == getattr(live.history, name)
    for person in ("a", "b"):
        assert again.history.standing(person) == live.history.standing(person)
        assert again.history.mine(person, 50) == live.history.mine(person, 50)
        assert again.queue.waiting(person) == live.queue.waiting(person)
    assert (again.queue.audited, again.accuracy()) == (live.queue.audited, live.accuracy())


def test_what_is_shown_for_an_audit_stays_an_audit():
    row = text_row(1, is_held_out=True)
    session = opened([row])
    answer(session, "h1", "good")
    assert session.history.events("h1")[0].reason == "audit"
    assert session.history.events("h1")[0].shown == Shown()


@pytest.mark.parametrize(
    ("task", "text", "value", "stored"),
    [
        (multilabel("t", "text", ["a", "b"]), "x", ["b", "a"], ["a", "b"]),
        (multilabel("t", "text", ["a", "b"]), "x", [], []),
        (rating("t", "text", scale=(1, 5)), "x", 4, 4.0),
        (extraction("t", "text", {"day": "date", "n": "integer"}), "x", {"day": "2026-01-31"},
         {"day": "2026-01-31", "n": None}),
        (entities("t", "text", ["P"]), "👩‍👩‍👧 Zoë", [{"text": "Zoë", "type": "P", "start": 6, "end": 9}],
         [{"text": "Zoë", "type": "P", "start": 6, "end": 9}]),
    ],
)  # fmt: skip
def test_values_of_each_kind_are_stored_in_the_tasks_own_form(task, text, value, stored):
    session = opened([text_row(1, text)], task)
    (found,) = session.check([given("h1", value)], ANN, AT)
    assert (found.value, type(found.value)) == (stored, type(stored))


@pytest.mark.parametrize(
    ("task", "text", "value"),
    [
        (multilabel("t", "text", ["a", "b"]), "x", ["c"]),
        (rating("t", "text", scale=(1, 5)), "x", True),
        (extraction("t", "text", {"n": "integer"}), "x", {"n": "1"}),
        (extraction("t", "text", {"n": "integer"}), "x", {"m": 1}),
        (entities("t", "text", ["P"]), "👩 Zoë", [{"text": "Zoë", "type": "P", "start": 3, "end": 6}]),
        (entities("t", "text", ["P"]), "Zoë", [{"text": "Zoë", "type": "P", "start": -3, "end": 3}]),
        (entities("t", "text", ["P"]), "Zoë", [{"text": "Zoë", "type": "P"}]),
    ],
)  # fmt: skip
def test_values_that_do_not_fit_the_task_or_the_text_are_refused(task, text, value):
    session = opened([text_row(1, text)], task)
    (found,) = session.check([given("h1", value)], ANN, AT)
    assert found.outcome == "refused"


def test_an_extractive_answer_must_stand_in_the_context():
    task = answering("t", question="q", context="c", extractive=True)
    row = replace(text_row(1), inputs=("where?", "in Rome"))
    found = opened([row], task).check(
        [given("h1", "Rome", 1), given("h1", "Oslo", 2), given("h1", None, 3)], ANN, AT
    )
    assert [getattr(one, "outcome", "kept") for one in found] == ["kept", "refused", "kept"]


def test_what_a_person_saw_before_a_restart_is_believed_again():
    session, seen = opened(), Before(value="bad", reviewer="bo", reviewed_at="2026-01-01")
    first = Event(
        event_id="1", task="tone", key="{}", input_hash="h1", kind=ANSWER, value="good", reviewer="ann", before=seen,
        seq=1,
    )  # fmt: skip
    session.replay([first])
    drawn = {"value": "bad", "reviewer": "bo", "reviewed_at": "2026-01-01"}
    (found,) = session.check([given("h1", "bad", 2, before=drawn)], ANN, AT)
    assert found.before == seen
    (found,) = session.check([given("h1", "bad", 3, before=None)], ANN, AT)
    assert found.before == Before()
