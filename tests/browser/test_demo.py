"""The demo's scripted person, in a real review page."""

import sparklabel as sl
from sparklabel.demo.browser import answer_in_page
from tests.browser.reviews import text_row


def rows(names, blind=0):
    return [text_row(n, f"text {n}", is_blind=n < blind, value=names[0]) for n in range(12)]


def answered(visitor, serve, names, wanted, blind=0):
    task = sl.classification("tone", "text", names)
    review = serve(task=task, rows=rows(names, blind))
    gold = {str(n): names[n % len(names)] for n in range(12)}
    told = []
    found = answer_in_page(visitor().page, review.link, task, gold, wanted, told.append)
    right = {f"row-{n}": gold[str(n)] for n in range(12)}
    assert review.answers.items() <= right.items()
    return found, review


def test_it_answers_as_many_rows_as_it_is_told_and_counts_the_blind_ones(visitor, serve):
    found, review = answered(visitor, serve, ["good", "bad"], 10, blind=4)
    assert (found.rows, found.blind, len(review.answers)) == (10, 4, 10)


def test_it_ends_when_no_row_is_left(visitor, serve):
    found, review = answered(visitor, serve, ["good", "bad"], 99)
    assert (found.rows, len(review.answers)) == (12, 12)


def test_it_finds_one_of_many_labels_by_its_name(visitor, serve):
    found, review = answered(visitor, serve, [f"label {n}" for n in range(11)], 99)
    assert (found.rows, len(review.answers)) == (12, 12)
