"""The queue: who gets which row, and that nobody gets another's."""

from collections import Counter

import pytest

from sparklabel.reviewing.asking.leases import LEASE_SECONDS
from sparklabel.reviewing.asking.queue import ReviewQueue
from sparklabel.splits import is_held_out
from tests.unit.reviewing.reviews import text_row, text_rows


def audits(count):
    return [text_row(number, is_held_out=True) for number in range(count)]


def learners(count):
    return [text_row(number, is_held_out=False) for number in range(count)]


def names(rows):
    return [row.input_hash for row in rows]


def answer(queue, row, *people, audit=False):
    queue.note(row.input_hash, answered_by=people, passed_by=(), is_audit=audit)


def test_two_people_never_get_one_row():
    queue = ReviewQueue(text_rows(200), overlap=0.0)
    came = [name for n in range(10) for name in names(queue.next(f"p{n}", 20, (), 0.0))]
    assert (len(came), max(Counter(came).values())) == (200, 1)


def test_a_lease_ends_after_two_minutes_unless_the_row_waits_in_the_browser():
    queue = ReviewQueue(learners(2))
    kept, left = queue.next("ann", 2, (), 0.0)
    queue.renew("ann", [kept.input_hash], 100.0)
    assert names(queue.next("bo", 2, (), LEASE_SECONDS + 1)) == [left.input_hash]


def test_a_lease_that_another_one_has_by_now_is_not_renewed():
    queue = ReviewQueue(learners(1))
    (row,) = queue.next("ann", 1, (), 0.0)
    queue.next("bo", 1, (), LEASE_SECONDS + 1)
    queue.renew("ann", [row.input_hash], LEASE_SECONDS + 2)
    assert names(queue.next("cy", 1, (), 2 * LEASE_SECONDS + 1.5)) == [row.input_hash]


def test_what_waits_in_the_browser_is_not_given_again():
    queue = ReviewQueue(learners(30))
    first = names(queue.next("ann", 10, (), 0.0))
    assert set(names(queue.next("ann", 10, first, 0.0))) & set(first) == set()


def test_a_browser_that_has_nothing_gets_its_rows_again():
    queue = ReviewQueue(learners(5))
    assert names(queue.next("ann", 5, (), 0.0)) == names(queue.next("ann", 5, (), 1.0))


def test_a_second_page_of_a_person_leaves_the_rows_of_the_first_to_nobody_else():
    queue = ReviewQueue(learners(6))
    first = names(queue.next("ann", 4, (), 0.0))
    assert names(queue.next("ann", 4, (), 1.0)) == first
    assert not {*names(queue.next("bo", 4, (), 2.0))} & {*first}


def test_a_row_that_moved_is_given_once_to_a_page_that_was_just_opened():
    queue = ReviewQueue(learners(3))
    row, *_ = queue.next("ann", 3, (), 0.0)
    queue.give_again(row, "ann")
    assert sorted(names(queue.next("ann", 9, (), 1.0))) == sorted(names(learners(3)))


def test_a_row_that_was_answered_or_skipped_never_comes_again_to_that_person():
    queue = ReviewQueue(learners(3))
    one, two, three = queue.next("ann", 3, (), 0.0)
    answer(queue, one, "ann")
    queue.note(two.input_hash, answered_by=(), passed_by=("ann",))
    assert names(queue.next("ann", 3, (), 0.0)) == [three.input_hash]
    assert names(queue.next("bo", 3, (), 1000.0)) == [two.input_hash, three.input_hash]


def test_an_undone_row_may_come_again():
    queue = ReviewQueue(learners(1))
    (row,) = queue.next("ann", 1, (), 0.0)
    answer(queue, row, "ann")
    assert queue.waiting("bo") == 0
    answer(queue, row)
    assert names(queue.next("bo", 1, (), 0.0)) == [row.input_hash]


def test_audits_come_from_the_held_out_fifth_alone_and_in_their_order():
    rows = text_rows(500)
    queue = ReviewQueue(rows, audit_share=1.0, overlap=0.0)
    drawn = queue.next("ann", 50, (), 0.0)
    assert all(is_held_out(row.inputs) for row in drawn)
    assert names(drawn) == [row.input_hash for row in rows if row.is_held_out][:50]


def test_rows_that_were_chosen_and_are_held_out_are_not_given():
    queue = ReviewQueue([text_row(1, is_held_out=True, is_random=False)])
    assert queue.next("ann", 5, (), 0.0) == []


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.5, 1.0])
def test_the_share_of_audits_is_kept(share):
    queue = ReviewQueue(text_rows(2000), audit_share=share, judges=10_000, overlap=0.0)
    drawn = queue.next("ann", 200, (), 0.0)
    assert sum(row.is_held_out for row in drawn) == pytest.approx(200 * share, abs=1)


def test_once_there_are_enough_judges_a_tenth_is_audited():
    queue = ReviewQueue(text_rows(2000), audit_share=0.5, judges=20, overlap=0.0)
    for row in queue.next("ann", 40, (), 0.0):
        answer(queue, row, "ann", audit=row.is_held_out)
    assert queue.audited == 20
    assert sum(row.is_held_out for row in queue.next("ann", 100, (), 0.0)) == pytest.approx(10, abs=1)


def test_an_undone_audit_does_not_judge():
    queue = ReviewQueue(audits(1))
    (row,) = queue.next("ann", 1, (), 0.0)
    answer(queue, row, "ann", audit=True)
    answer(queue, row, audit=True)
    assert queue.audited == 0


def test_if_all_rows_are_held_out_all_are_audited():
    assert len(ReviewQueue(audits(30), audit_share=0.0).next("ann", 30, (), 0.0)) == 30


def test_the_share_of_overlap_is_asked_from_two_people_and_from_no_third():
    queue = ReviewQueue(audits(1000), overlap=0.1, audit_share=1.0)
    came = Counter()
    for person in ("ann", "bo", "cy"):
        for row in queue.next(person, 1000, (), 0.0):
            came[row.input_hash] += 1
    assert max(came.values()) == 2
    assert list(came.values()).count(2) == pytest.approx(100, abs=30)


def test_a_second_opinion_is_asked_after_the_first_answer_too():
    queue = ReviewQueue(audits(50), overlap=1.0)
    (row,) = queue.next("ann", 1, (), 0.0)
    answer(queue, row, "ann", audit=True)
    assert row.input_hash in names(queue.next("bo", 50, (), 0.0))
    answer(queue, row, "ann", "bo", audit=True)
    assert row.input_hash not in names(queue.next("cy", 50, (), 0.0))


def test_the_probes_order_is_followed_and_rows_it_does_not_know_come_behind():
    queue = ReviewQueue(learners(6), overlap=0.0)
    (row,) = queue.next("ann", 1, (), 0.0)
    answer(queue, row, "ann")
    queue.reorder(["h4", "h2", row.input_hash, "unknown"])
    assert names(queue.next("bo", 9, (), 0.0)) == ["h4", "h2", "h1", "h3", "h5"]


def test_a_filter_gives_rows_of_the_queue_alone():
    queue = ReviewQueue(text_rows(100))
    drawn = queue.next("ann", 100, (), 0.0, wanted=lambda row: row.label.value == "good")
    assert drawn
    assert all(row.label.value == "good" and not row.is_held_out for row in drawn)


def test_rows_that_all_have_answered_can_be_looked_at_by_name():
    queue = ReviewQueue(learners(3))
    (row,) = queue.next("ann", 1, (), 0.0)
    answer(queue, row, "ann")
    assert names(queue.next("bo", 5, (), 0.0, among=[row.input_hash])) == [row.input_hash]
    assert queue.next("cy", 5, ("x",), 0.0, among=[row.input_hash]) == []


def test_a_row_that_moved_comes_first_and_to_that_person_alone():
    queue = ReviewQueue(learners(3))
    first = queue.next("ann", 1, (), 0.0)[0]
    answer(queue, first, "ann")
    queue.give_again(first, "ann")
    assert names(queue.next("ann", 1, (), 0.0)) == [first.input_hash]
    assert first.input_hash not in names(queue.next("bo", 5, (), 0.0))


def test_the_rows_that_wait_are_counted_for_each_person():
    queue = ReviewQueue(learners(5))
    one, two = queue.next("ann", 2, (), 0.0)
    answer(queue, one, "ann")
    queue.note(two.input_hash, answered_by=(), passed_by=("ann",))
    assert (queue.waiting("ann"), queue.waiting("bo")) == (3, 4)
