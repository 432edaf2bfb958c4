"""The end of a review: its last flush is the last thing that is taken."""

import pytest

from tests.unit.reviewing.reviews import event, review, rows_of, send


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
