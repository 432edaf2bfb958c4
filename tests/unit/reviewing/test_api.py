"""The API: rows out, events in, what a person sees and what not."""

import asyncio
from dataclasses import replace

import pytest

from sparklabel.errors import ConflictError
from sparklabel.reviewing.records import Before, RowLabel
from sparklabel.tasks import answering, entities
from tests.unit.reviewing.reviews import by_reason, event, review, rows_of, send, text_row, text_rows


@pytest.fixture
def opened(tmp_path):
    with review(tmp_path) as found:
        yield found


@pytest.fixture
def ann(opened):
    return opened.person("ann")


def test_the_screen_is_told_the_task_and_who_looks_at_it(ann):
    about = ann.get("/api/tone/about").json()
    assert [label["name"] for label in about["task"]["labels"]] == ["good", "bad"]
    assert (about["reviewer"], about["role"], about["read_only"]) == ("ann", "lead", False)


def test_a_queue_row_has_the_models_suggestion_and_its_choices(ann):
    row = by_reason(rows_of(ann), "queue")
    assert row["suggestion"]["by"] == "model"
    assert [choice["probability"] for choice in row["suggestion"]["choices"]] == [0.8, 0.2]


def test_an_audit_row_is_blind(ann):
    row = by_reason(rows_of(ann), "audit")
    assert row["blind"]
    assert row["suggestion"] is None


def test_an_answer_is_on_disk_when_it_is_acknowledged(opened, ann):
    row = rows_of(ann)[0]
    found = send(ann, event(row["id"], "good", seconds=1.5, note="clear"))
    assert found["outcomes"] == [{"event_id": f"event-{row['id']}-answer-0", "outcome": "kept"}]
    (kept,) = opened.state.journal.events()
    assert (kept.value, kept.reviewer, kept.seconds, kept.note, kept.model) == (
        "good",
        "ann",
        1.5,
        "clear",
        "m1",
    )
    assert kept.answered_at == "2026-01-01T00:00:00.000000+00:00"


def test_an_event_that_is_sent_twice_is_one(opened, ann):
    row = rows_of(ann)[0]["id"]
    send(ann, event(row, "good"))
    assert send(ann, event(row, "good"))["outcomes"][0]["outcome"] == "kept"
    assert send(ann, event(row, "good"))["progress"]["mine"] == 1
    assert opened.state.journal.last_seq == 1


def test_another_persons_event_cannot_be_taken_for_ones_own(opened, ann):
    row = rows_of(ann)[0]["id"]
    send(ann, event(row, "good"))
    bo = opened.person("bo")
    assert send(bo, event(row, "bad"))["outcomes"][0]["outcome"] == "refused"


@pytest.mark.parametrize("value", ["ugly", None, 3, ["good"], {"a": 1}])
def test_a_value_that_is_no_answer_is_refused_and_the_others_are_kept(opened, ann, value):
    one, other = rows_of(ann)[:2]
    found = send(ann, event(one["id"], value), event(other["id"], "bad"))
    assert [outcome["outcome"] for outcome in found["outcomes"]] == ["refused", "kept"]
    assert "is not an answer to 'tone'" in found["outcomes"][0]["why"]
    assert opened.state.journal.last_seq == 1


@pytest.mark.parametrize("key", [{}, {"key": '{"other": 1}'}, {"key": '{"id": "1"}'}, {"key": "{"}])
def test_a_row_that_cannot_have_been_there_is_refused(ann, key):
    assert "no such row" in send(ann, event("nowhere", "good", **key))["outcomes"][0]["why"]


def test_what_is_said_of_a_row_that_was_deleted_before_a_restart_is_kept_and_not_written(opened, ann):
    assert send(ann, event("gone", "good", key='{"id": 9}'))["outcomes"][0]["outcome"] == "kept"
    asyncio.run(opened.state.flush())
    (kept,) = opened.table.answers["tone"].values()
    assert (kept.input_hash, kept.key, kept.value) == ("gone", '{"id": 9}', "good")
    assert "gone" not in opened.table.rows["tone"]


@pytest.mark.parametrize(
    ("task", "value"),
    [
        (entities("tone", inputs="text", types=["a"]), [{"text": "Ann", "type": "a", "start": 4, "end": 7}]),
        (answering("tone", question="question", context="text", extractive=True), "Ann"),
    ],
)
def test_what_was_marked_in_a_text_that_is_gone_is_kept(tmp_path, task, value):
    with review(tmp_path, tasks=(task,)) as opened:
        found = send(opened.person("ann"), event("gone", value, key='{"id": 9}'))
    assert found["outcomes"][0]["outcome"] == "kept"


@pytest.mark.parametrize(
    "content", [b"{", b'{"events": [{"value": NaN}]}', b'{"events": [{"note": "\\ud800"}]}', b"[" * 100_000]
)
def test_what_is_not_json_is_refused(ann, content):
    assert ann.post("/api/tone/events", content=content).status_code == 422


def test_a_suggestion_that_a_browser_makes_up_is_not_kept(opened, ann):
    rows = rows_of(ann)
    shown = {"value": "good", "confidence": 0.9, "by": "model"}
    send(
        ann,
        event(by_reason(rows, "audit")["id"], "good", shown=shown),
        event(by_reason(rows, "queue")["id"], "good", shown=shown | {"value": "<b>"}),
        event(rows_of(ann, have=["x"])[0]["id"], "good", shown=shown, reviewer="bo"),
    )
    assert [kept.shown.by for kept in opened.state.journal.events()] == ["none", "none", "model"]
    assert {kept.reviewer for kept in opened.state.journal.events()} == {"ann"}


def test_undo_takes_the_answer_back_and_the_row_may_come_again(opened, ann):
    row = rows_of(ann, 1)[0]["id"]
    send(ann, event(row, "good"))
    found = send(ann, event(row, kind="undo"), have=[row])
    assert found["outcomes"][0]["outcome"] == "kept"
    assert found["progress"]["mine"] == 0
    assert row not in [one["id"] for one in rows_of(opened.person("bo"), 40)]  # it is on ann's screen
    assert row in [one["id"] for one in rows_of(ann, 40)]


def test_answer_and_undo_can_come_in_one_request(ann):
    row = rows_of(ann, 1)[0]["id"]
    found = send(ann, event(row, "good"), event(row, kind="undo"), event(row, kind="undo", number=2))
    assert [one["outcome"] for one in found["outcomes"]] == ["kept", "kept", "refused"]


def test_a_skipped_row_does_not_come_again_to_that_person(opened, ann):
    row = rows_of(ann, 1)[0]["id"]
    send(ann, event(row, kind="skip"))
    assert row not in [one["id"] for one in rows_of(ann, 40)]


def test_people_who_differ_dispute_and_a_lead_decides(opened, ann):
    row, bo = rows_of(ann, 1)[0]["id"], opened.person("bo")
    send(ann, event(row, "good"))
    send(bo, event(row, "bad", number=1))
    session = opened.state.session("tone")
    assert list(session.history.disputed) == [row]
    send(ann, event(row, "bad", kind="resolve"))
    assert list(session.history.disputed) == []
    assert session.history.resolution(row).value == "bad"


def test_nobody_sees_what_others_answered(opened, ann):
    row = rows_of(ann, 1)[0]["id"]
    send(ann, event(row, "good"))
    bo = opened.person("bo")
    rows_of(bo, 40)
    assert "ann" not in bo.post("/api/tone/next", json={"count": 40}).text


def test_answers_reach_the_table_once(opened, ann):
    rows = [row["id"] for row in rows_of(ann, 3)]
    found = send(ann, *(event(row, "good") for row in rows))
    assert found["progress"]["waiting_to_save"] == 3
    opened.run(opened.state.flush())
    opened.run(opened.state.flush())
    assert [opened.table.rows["tone"][row].label.reviewer for row in rows] == ["ann"] * 3
    assert len(opened.table.answers["tone"]) == 3
    progress = ann.get("/api/tone/progress").json()
    assert (progress["waiting_to_save"], progress["in_table_age_s"]) == (0, 0)


def test_a_table_that_is_away_is_told_and_tried_again_later(opened, ann):
    send(ann, event(rows_of(ann, 1)[0]["id"], "good"))
    opened.table.failure = ConflictError("Other writers kept winning.")
    opened.clock.seconds += 61
    opened.run(opened.state.sync_once())
    assert "kept winning" in ann.get("/api/tone/progress").json()["table_error"]
    opened.table.failure = None
    opened.run(opened.state.sync_once())
    assert len(opened.table.answers["tone"]) == 0
    opened.clock.seconds += 6
    opened.run(opened.state.sync_once())
    assert (len(opened.table.answers["tone"]), ann.get("/api/tone/progress").json()["table_error"]) == (
        1,
        None,
    )


def test_who_was_overtaken_in_the_table_sees_the_row_again(opened, ann):
    row = by_reason(rows_of(ann), "queue")["id"]
    send(ann, event(row, "good"))
    theirs = RowLabel(value="bad", source="human", reviewer="cy", reviewed_at="2026", model="m1", status="ok")
    opened.table.rows["tone"][row] = replace(opened.table.rows["tone"][row], label=theirs)
    opened.run(opened.state.flush())
    again = rows_of(ann, 1)[0]
    assert (again["id"], again["before"]["value"]) == (row, "bad")
    assert "cy answered" in again["moved"]
    send(ann, event(row, "good", number=1))
    opened.run(opened.state.flush())
    assert opened.table.rows["tone"][row].label.reviewer == "ann"


def test_an_answer_to_a_row_whose_text_changed_is_kept_and_told(opened, ann):
    row = rows_of(ann, 1)[0]["id"]
    send(ann, event(row, "good"))
    del opened.table.rows["tone"][row]
    opened.run(opened.state.flush())
    assert len(opened.table.answers["tone"]) == 1
    assert "text has changed" in ann.get("/api/tone/mine").json()[0]["row"]["moved"]


def test_ones_last_answers_come_newest_first_without_those_undone(ann):
    rows = [row["id"] for row in rows_of(ann, 4)]
    send(ann, *(event(row, "good") for row in rows), event(rows[1], kind="undo"))
    found = ann.get("/api/tone/mine").json()
    assert [one["row"]["id"] for one in found] == [rows[3], rows[2], rows[0]]
    assert [one["row"]["id"] for one in ann.get(f"/api/tone/mine?before={found[1]['seq']}").json()] == [
        rows[0]
    ]


def test_a_null_that_nobody_signed_can_be_overruled_too(tmp_path):
    with review(tmp_path) as opened:
        ann, rows = opened.person("ann"), opened.table.rows["tone"]
        row = by_reason(rows_of(ann), "queue")["id"]
        rows[row] = replace(rows[row], label=RowLabel(source="human", model="m1", status="ok"))
        send(ann, event(row, "good"))
        opened.run(opened.state.flush())
        again = rows_of(ann, 1)[0]
        assert again["id"] == row
        send(ann, event(row, "good", number=1, before=again["before"]))
        opened.run(opened.state.flush())
        assert rows[row].label.reviewer == "ann"


def test_before_the_rows_are_there_events_are_to_be_sent_again(tmp_path):
    with review(tmp_path) as found:
        ann = found.person("ann")
        found.state.sessions.clear()
        answer = ann.post("/api/tone/events", json={"events": [event("h1", "good")]})
        assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
        assert ann.get("/").status_code == 200


def test_a_journal_that_cannot_be_written_is_told(opened, ann):
    row = rows_of(ann, 1)[0]["id"]
    opened.state.journal._database.execute("PRAGMA query_only = ON")
    answer = ann.post("/api/tone/events", json={"events": [event(row, "good")]})
    assert (answer.status_code, "cannot be written" in answer.json()["message"]) == (503, True)
    assert ann.get("/api/tone/progress").json()["mine"] == 0


def test_a_filter_finds_rows_of_the_queue_alone_and_says_so(ann):
    answer = ann.post("/api/tone/next", json={"count": 40, "filter": {"label": "bad"}}).json()
    assert {row["suggestion"]["value"] for row in answer["rows"]} == {"bad"}
    assert {row["reason"] for row in answer["rows"]} == {"queue"}
    assert "judge none" in answer["note"]


def test_flagged_rows_can_be_looked_for(opened, ann):
    row = by_reason(rows_of(ann), "queue")["id"]
    send(ann, event(row, kind="flag", note="odd"), event(row, "good"))
    assert [one["id"] for one in rows_of(opened.person("bo"), 40, status="flagged")] == [row]


def test_without_rows_the_screen_says_why(tmp_path):
    with review(tmp_path, rows=[]) as found:
        answer = found.person("ann").post("/api/tone/next", json={}).json()
        assert (answer["rows"], answer["waiting"]) == ([], 0)
        assert "no rows to review" in answer["note"]


def test_once_it_ends_no_rows_are_given_out_and_answers_are_still_taken(opened, ann):
    row = rows_of(ann, 1)[0]["id"]
    opened.state.is_closing = True
    assert ann.post("/api/tone/next", json={}).json()["rows"] == []
    assert send(ann, event(row, "good"))["outcomes"][0]["outcome"] == "kept"


def test_texts_come_as_they_are_and_long_ones_are_marked(tmp_path):
    texts = ["<script>alert(1)</script> {{ 7 * 7 }}", "\u202eabc\x00\x07", "x" * 30_000, "👩‍👩‍👧 é"]
    rows = [text_row(number, text, is_held_out=False) for number, text in enumerate(texts)]
    with review(tmp_path, rows=rows) as found:
        came = rows_of(found.person("ann"))
        assert [row["inputs"][0] for row in came] == texts
        assert [row["long"] for row in came] == [False, False, True, False]


def test_the_models_accuracy_is_that_on_audited_rows(tmp_path):
    with review(tmp_path, rows=text_rows(200), audit_share=1.0, overlap=0.0) as found:
        ann = found.person("ann")
        rows = rows_of(ann, 20)
        send(ann, *(event(row["id"], "good") for row in rows))
        progress = ann.get("/api/tone/progress").json()
        right = sum(int(row["id"][1:]) % 2 == 0 for row in rows)
        assert (progress["accuracy"]["right"], progress["accuracy"]["n"]) == (right, 20)
        assert progress["audited"] == 20


@pytest.mark.parametrize("path", ["/playground/tone", "/quality/tone"])
def test_pages_that_are_imported_late_are_there(ann, path):
    assert ann.get(path).status_code == 200


def test_pages_that_are_imported_late_are_guarded_too(opened):
    assert opened.browser().get("/quality/tone").status_code == 401


def test_a_page_of_another_person_gives_no_answers(opened, ann):
    row = rows_of(ann, 1)[0]["id"]
    body = {"events": [event(row, "good")], "have": [], "reviewer": "bo"}
    answer = ann.post("/api/tone/events", json=body)
    assert (answer.status_code, "You are signed in as ann now" in answer.json()["message"]) == (401, True)
    assert ann.post("/api/tone/next", json={"have": [], "count": 1, "reviewer": "bo"}).status_code == 401
    assert list(opened.state.journal.events()) == []


def test_a_note_of_a_person_cannot_pass_for_a_bulks(ann):
    row = rows_of(ann, 1)[0]["id"]
    (outcome,) = send(ann, event(row, "good", note="bulk 0123456789ab"))["outcomes"]
    assert outcome["outcome"] == "refused"


def test_what_was_seen_with_a_row_is_what_the_browser_drew(opened, ann):
    row = next(one["id"] for one in rows_of(ann) if not one["blind"])
    send(ann, event(row, "good", before={"value": "bad", "reviewer": "bo", "reviewed_at": "x"}))
    (kept,) = opened.state.journal.events()
    assert kept.before == Before()
