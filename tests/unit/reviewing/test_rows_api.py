"""The list of rows, and one answer for all rows of a filter: whom it is for, what it leaves out, how it is undone."""

import pytest

from sparklabel.reviewing.bulk_answers import BulkAnswers
from sparklabel.reviewing.people import LEAD, Account, Person
from sparklabel.reviewing.records import ANSWER, QUEUE
from sparklabel.reviewing.requests import EventIn, EventsIn
from sparklabel.tasks import answering, entities, extraction, generation, multilabel
from tests.unit.reviewing.reviews import OURS, event, review, rows_of, send, text_row

ACCOUNTS = {name: Account(role) for name, role in (("ann", "annotator"), ("lee", "lead"), ("ray", "reader"))}
PROXY = "10.0.0.7"
ROWS = [text_row(number, is_held_out=number < 8) for number in range(128)]
OPTIONS = {"accounts": ACCOUNTS, "user_header": "X-User", "trust": (PROXY,), "audit_share": 0.0}


@pytest.fixture
def opened(tmp_path):
    with review(tmp_path, rows=ROWS, **OPTIONS) as found:
        yield found


def by(found, name):
    browser = found.browser(client=(PROXY, 1))
    browser.headers.update({**OURS, "X-User": name})
    return browser


def listed(browser, page=1, **filters):
    answer = browser.post("/api/tone/rows", json={"filter": filters, "page": page})
    assert answer.status_code == 200, answer.text
    return answer.json()


def bulk(browser, value, count, **filters):
    return browser.post("/api/tone/bulk", json={"filter": filters, "value": value, "count": count})


def resolution(opened, row):
    return opened.state.session("tone").history.resolution(row)


def test_rows_come_fifty_a_page(opened):
    pages = [listed(by(opened, "ann"), page) for page in (1, 2, 3, 99)]
    assert [len(one["rows"]) for one in pages] == [50, 50, 28, 28]
    assert [(one["page"], one["pages"], one["count"]) for one in pages] == [
        (number, 3, 128) for number in (1, 2, 3, 3)
    ]


def test_a_row_has_the_models_label_and_the_answer_with_who_gave_it(opened):
    send(by(opened, "ann"), event("h9", "good"))
    row = listed(by(opened, "lee"), status="answered")["rows"][0]
    assert (row["label"], row["confidence"], row["answer"], row["by"]) == ("bad", 0.8, "good", ["ann"])


def test_a_long_text_is_cut(tmp_path):
    with review(tmp_path, rows=[text_row(0, "x" * 1000)], **OPTIONS) as opened:
        assert len(listed(by(opened, "ann"))["rows"][0]["inputs"][0]) == 301


def test_of_a_row_that_judges_models_ones_own_answer_alone_is_told(opened):
    send(by(opened, "ann"), event("h0", "bad"))
    shown = {
        name: next(row for row in listed(by(opened, name))["rows"] if row["id"] == "h0")
        for name in ("ann", "lee")
    }
    assert [(row["blind"], row["label"], row["answer"]) for row in shown.values()] == [
        (True, None, "bad"), (True, None, None),
    ]  # fmt: skip


def test_a_filter_by_label_does_not_show_rows_that_judge_models(opened):
    found = listed(by(opened, "ann"), label="good")
    assert (found["count"], found["held_out"]) == (60, 8)
    assert not any(row["blind"] for row in found["rows"])


@pytest.mark.parametrize("path", ["rows", "bulk/sample"])
def test_how_many_rows_judge_models_does_not_tell_the_label_of_one(opened, path):
    found = [
        by(opened, "lee").post(f"/api/tone/{path}", json={"filter": {"search": "text 7", **filters}}).json()
        for filters in (
            {"label": "good"}, {"label": "bad"}, {"confidence_below": 0.1}, {"status": "ok"}, {"status": "failed"},
        )
    ]  # fmt: skip
    assert [one["held_out"] for one in found] == [1] * 5


def test_rows_are_found_by_text_confidence_and_whether_they_are_answered(opened):
    ann = by(opened, "ann")
    send(ann, event("h20", "good"))
    assert [row["id"] for row in listed(ann, search="TEXT 20")["rows"]] == ["h20"]
    assert (listed(ann, confidence_below=0.8)["count"], listed(ann, confidence_below=0.81)["count"]) == (
        0,
        120,
    )
    assert (listed(ann, status="answered")["count"], listed(ann, status="unanswered")["count"]) == (1, 127)


def test_nothing_is_suspicious_before_the_probe_has_learned(opened):
    found = listed(by(opened, "ann"), status="suspicious")
    assert (found["count"], "learned from 0" in found["note"]) == (0, True)


def test_a_reader_is_refused_and_an_annotator_does_not_answer_in_bulk(opened):
    assert by(opened, "ray").get("/rows/tone").status_code == 403
    ann = by(opened, "ann")
    assert "open-bulk" not in ann.get("/rows/tone").text
    assert bulk(ann, "good", 60, label="good").status_code == 403
    assert ann.post("/api/tone/bulk/undo", json={"bulk": "0" * 12}).status_code == 403
    assert ann.post("/api/tone/bulk/sample", json={}).status_code == 403


def test_a_lead_looks_at_ten_rows_and_is_told_what_is_left_out(opened):
    send(by(opened, "ann"), event("h10", "bad"))
    found = by(opened, "lee").post("/api/tone/bulk/sample", json={"filter": {"label": "good"}}).json()
    assert (found["count"], found["held_out"], found["answered"]) == (59, 8, 1)
    names = {row["id"] for row in found["rows"]}
    assert len(names) == 10
    assert names.isdisjoint({"h0", "h2", "h4", "h6", "h10"})


def test_all_rows_of_a_filter_get_one_answer(opened):
    found = bulk(by(opened, "lee"), "bad", 60, label="good").json()
    events = list(opened.state.journal.events())
    assert (found["answered"], len(events)) == (60, 60)
    assert {(e.kind, e.value, e.reviewer, e.reason, e.seconds, e.note) for e in events} == {
        (ANSWER, "bad", "lee", QUEUE, None, f"bulk {found['bulk']}")
    }
    opened.run(opened.state.flush())
    assert opened.table.rows["tone"]["h8"].label.value == "bad"
    assert opened.table.rows["tone"]["h0"].label.source == "model"


def test_rows_with_a_persons_answer_keep_it(opened):
    send(by(opened, "ann"), event("h10", "good"))
    assert bulk(by(opened, "lee"), "bad", 59, label="good").json()["answered"] == 59
    assert resolution(opened, "h10").votes == {"ann": "good"}


def test_rows_on_another_persons_screen_are_left_to_them(opened):
    held = {row["id"] for row in rows_of(by(opened, "ann"), 5)}
    found = bulk(by(opened, "lee"), "bad", 120).json()
    assert (found["answered"], found["left"]) == (115, 5)
    assert not any(resolution(opened, name).is_answered for name in held)


def test_a_filter_that_finds_another_number_of_rows_by_now_is_refused(opened):
    lee = by(opened, "lee")
    send(by(opened, "ann"), event("h10", "good"))
    answer = bulk(lee, "bad", 60, label="good")
    assert (answer.status_code, "59 rows" in answer.json()["message"]) == (409, True)
    assert opened.state.journal.last_seq == 1


def test_a_filter_that_finds_as_many_other_rows_by_now_is_refused(opened):
    lee = by(opened, "lee")
    wanted = {"filter": {"label": "good"}, "value": "bad", "count": 59}
    send(by(opened, "ann"), event("h10", "good"))
    told = lee.post("/api/tone/bulk/sample", json=wanted).json()["names"]
    send(by(opened, "ann"), event("h10", kind="undo"), event("h12", "good"))
    answer = lee.post("/api/tone/bulk", json=wanted | {"names": told})
    assert (answer.status_code, "other rows" in answer.json()["message"]) == (409, True)
    told = lee.post("/api/tone/bulk/sample", json=wanted).json()["names"]
    assert lee.post("/api/tone/bulk", json=wanted | {"names": told}).json()["answered"] == 59


def test_an_answer_that_is_none_is_refused(opened):
    assert bulk(by(opened, "lee"), "ugly", 120).status_code == 422


@pytest.mark.parametrize(
    ("task", "value"),
    [
        (extraction("tone", inputs="text", fields={"name": "string"}), {"name": "x"}),
        (entities("tone", inputs="text", types=["a"]), [{"text": "x", "type": "a", "start": 0, "end": 1}]),
        (generation("tone", "text", "Sum up."), "x"),
        (generation("tone", "text", "Sum up."), None),
    ],
)
def test_what_is_written_about_one_text_is_not_given_in_bulk(tmp_path, task, value):
    with review(tmp_path, rows=ROWS, tasks=(task,), **OPTIONS) as opened:
        answer = bulk(by(opened, "lee"), value, 120)
    assert (answer.status_code, "only choices" in answer.json()["message"]) == (422, True)


@pytest.mark.parametrize(
    ("task", "value", "kept"),
    [
        (multilabel("tone", "text", ["a", "b", "c"]), ["c", "a"], ["a", "c"]),
        (multilabel("tone", "text", ["a", "b", "c"]), [], []),
        (entities("tone", inputs="text", types=["a"]), [], []),
        (answering("tone", question="question", context="text"), None, None),
    ],
)
def test_several_labels_and_that_there_is_nothing_can_be_given_in_bulk(tmp_path, task, value, kept):
    with review(tmp_path, rows=ROWS, tasks=(task,), **OPTIONS) as opened:
        assert bulk(by(opened, "lee"), value, 120).status_code == 200
        assert [event.value for event in opened.state.journal.events()][:3] == [kept] * 3


def test_a_bulk_is_undone_at_once_but_for_answers_that_were_changed(opened):
    lee = by(opened, "lee")
    done = bulk(lee, "bad", 60, label="good").json()
    send(lee, event("h8", "good"))
    assert [(one["bulk"], one["answered"]) for one in lee.get("/api/tone/bulk").json()["bulks"]] == [
        (done["bulk"], 59)
    ]
    assert lee.post("/api/tone/bulk/undo", json={"bulk": done["bulk"]}).json() == {"undone": 59}
    assert lee.post("/api/tone/bulk/undo", json={"bulk": done["bulk"]}).json() == {"undone": 0}
    assert (resolution(opened, "h8").value, resolution(opened, "h10").is_answered) == ("good", False)
    opened.run(opened.state.flush())
    assert opened.table.rows["tone"]["h10"].label.source == "model"


def test_an_answer_that_is_given_while_a_bulk_is_undone_stays(opened, monkeypatch):
    done = bulk(by(opened, "lee"), "bad", 120).json()
    state, lee, keep = opened.state, Person("lee", LEAD), opened.state.keep
    given = EventsIn(events=(EventIn(event_id="meanwhile", id="h120", kind="answer", value="good"),))

    async def keep_slowly(task, events):
        await state.accept("tone", given, lee)
        return await keep(task, events)

    monkeypatch.setattr(state, "keep", keep_slowly)
    assert opened.run(BulkAnswers(state).undo("tone", done["bulk"], lee)) == 119
    assert (resolution(opened, "h120").value, resolution(opened, "h121").is_answered) == ("good", False)


def test_an_answer_of_a_bulk_that_its_person_skips_since_is_not_undone(opened):
    lee = by(opened, "lee")
    done = bulk(lee, "bad", 60, label="good").json()
    send(lee, event("h8", kind="skip"))
    assert lee.post("/api/tone/bulk/undo", json={"bulk": done["bulk"]}).json() == {"undone": 59}


def test_a_bulk_can_be_undone_after_a_restart(opened, tmp_path):
    done = bulk(by(opened, "lee"), "bad", 60, label="good").json()
    opened.run(opened.state.flush())
    opened.state.journal.close()
    with review(tmp_path, table=opened.table, **OPTIONS) as again:
        answer = by(again, "lee").post("/api/tone/bulk/undo", json={"bulk": done["bulk"]})
    assert answer.json() == {"undone": 60}


def test_answers_in_bulk_do_not_judge_the_models_suggestions(opened):
    bulk(by(opened, "lee"), "good", 60, label="good")
    assert opened.state.session("tone").suggestions.right("model") == (0, 0)


def test_a_review_that_is_read_only_has_no_bulk(tmp_path):
    with review(tmp_path, rows=ROWS, read_only=True, **OPTIONS) as opened:
        assert bulk(by(opened, "lee"), "good", 60, label="good").status_code == 403
