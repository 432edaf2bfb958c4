"""The end of a review: its last flush is the last thing that is taken."""

import pytest

from sparklabel.reviewing.journal import Journal
from sparklabel.reviewing.report import review_report
from sparklabel.reviewing.review_call import ReviewCall
from sparklabel.reviewing.review_state import ReviewState
from tests.unit.reviewing.reviews import TASK, event, review, rows_of, send


@pytest.fixture
def opened(tmp_path):
    with review(tmp_path) as found:
        yield found


def test_everything_that_was_taken_is_in_the_table_and_the_rest_stays_in_the_browser(opened):
    ann = opened.person("ann")
    first, second = rows_of(ann, 2)
    send(ann, event(first["id"], "good"))
    opened.run(opened.state.flush_if_possible())
    assert opened.table.rows["tone"][first["id"]].label.reviewer == "ann"
    refused = ann.post("/api/tone/events", json={"events": [event(second["id"], "good")]})
    assert (refused.status_code, refused.json()["message"]) == (503, "The review has ended.")
    assert [kept.input_hash for kept in opened.state.journal.events()] == [first["id"]]


def test_an_end_before_the_rows_are_there_says_that_answers_wait_only_if_there_are_any(tmp_path):
    call = ReviewCall(table="t", tasks=(TASK,), journal=tmp_path / "review.db")
    with Journal(call.journal, call.about()) as journal:
        assert review_report(ReviewState(call, journal)).next_step.startswith("No answers yet")
    with review(tmp_path) as opened:
        ann = opened.person("ann")
        send(ann, event(rows_of(ann, 1)[0]["id"], "good"))
    with Journal(call.journal, call.about()) as journal:
        assert "sparklabel flush" in review_report(ReviewState(call, journal)).next_step
