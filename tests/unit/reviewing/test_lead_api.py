"""What is for leads: disputes without names, people's figures, a person's answers taken back, the export."""

import json

import pytest

from sparklabel.reviewing.people import LEAD, Account, Person
from sparklabel.reviewing.requests import EventIn, EventsIn
from tests.unit.reviewing.reviews import OURS, event, review, rows_of, send, text_rows

ACCOUNTS = {
    name: Account(role) for name, role in (("ann", "annotator"), ("bo", "annotator"), ("lee", "lead"))
}
PROXY = "10.0.0.7"


@pytest.fixture
def opened(tmp_path):
    options = {
        "accounts": ACCOUNTS,
        "user_header": "X-User",
        "trust": (PROXY,),
        "audit_share": 1.0,
        "overlap": 1.0,
    }
    with review(tmp_path, rows=text_rows(100), **options) as found:
        yield found


def by(found, name):
    browser = found.browser(client=(PROXY, 1))
    browser.headers.update({**OURS, "X-User": name})
    return browser


@pytest.fixture
def disputed(opened):
    """A row that ann and bo answered differently."""
    row = rows_of(by(opened, "ann"), 1)[0]["id"]
    send(by(opened, "ann"), event(row, "good", note="sounds happy"))
    send(by(opened, "bo"), event(row, "bad", number=1))
    return row


@pytest.mark.parametrize(
    "path", ["/api/tone/disputes", "/api/tone/people", "/export/tone.jsonl", "/disputes/tone", "/people"]
)
def test_an_annotator_is_refused(opened, path):
    assert by(opened, "ann").get(path).status_code == 403


def test_an_annotator_cannot_take_back_anothers_answers(opened):
    assert by(opened, "ann").post("/api/tone/people/undo", json={"reviewer": "bo"}).status_code == 403


def test_disputes_are_shown_without_names(opened, disputed):
    answer = by(opened, "lee").get("/api/tone/disputes")
    (found,) = answer.json()["rows"]
    assert found["row"]["id"] == disputed
    assert sorted((vote["value"], vote["people"]) for vote in found["votes"]) == [("bad", 1), ("good", 1)]
    assert found["notes"] == ["sounds happy"]
    assert not any(name in answer.text for name in ('"ann"', '"bo"'))


def test_a_lead_decides_and_the_dispute_is_over(opened, disputed):
    lee = by(opened, "lee")
    send(lee, event(disputed, "bad", kind="resolve"))
    assert lee.get("/api/tone/disputes").json()["rows"] == []
    opened.run(opened.state.flush())
    assert opened.table.rows["tone"][disputed].label.value == "bad"


def test_a_lead_who_answers_a_row_that_they_decided_decides_again(opened, disputed):
    lee = by(opened, "lee")
    send(lee, event(disputed, "bad", kind="resolve"))
    send(lee, event(disputed, "good", number=2))
    assert opened.state.session("tone").history.resolution(disputed).value == "good"
    send(lee, event(disputed, kind="undo", number=3))
    assert opened.state.session("tone").history.resolution(disputed).value != "good"


def test_people_have_figures(opened, disputed):
    send(by(opened, "ann"), event(rows_of(by(opened, "ann"), 1)[0]["id"], "good", seconds=2.0))
    people = {one["name"]: one for one in by(opened, "lee").get("/api/tone/people").json()["people"]}
    assert (people["ann"]["answers"], people["ann"]["seconds"], people["ann"]["is_here"]) == (2, 2.0, True)
    assert people["bo"]["agrees_with_others"] == [0, 1]
    assert people["ann"]["agrees_with_model"][1] == 2


def test_a_lead_takes_back_all_answers_of_a_person(opened, disputed):
    lee = by(opened, "lee")
    assert lee.post("/api/tone/people/undo", json={"reviewer": "bo"}).json() == {"undone": 1}
    assert opened.state.session("tone").history.resolution(disputed).value == "good"
    assert list(opened.state.journal.events())[-1].note == "taken back by lee"
    assert lee.post("/api/tone/people/undo", json={"reviewer": "bo"}).json() == {"undone": 0}


def test_everything_that_was_answered_can_be_taken_away_as_json_lines(opened, disputed):
    answer = by(opened, "lee").get("/export/tone.jsonl")
    (found,) = map(json.loads, answer.text.splitlines())
    assert (found["is_disputed"], found["votes"]) == (True, {"ann": "good", "bo": "bad"})
    assert answer.headers["content-disposition"] == 'attachment; filename="tone.jsonl"'


def test_an_answer_is_taken_back_with_the_decision_that_hides_it(opened, disputed):
    lee, history = by(opened, "lee"), opened.state.session("tone").history
    send(lee, event(disputed, "good", number=2), event(disputed, "bad", kind="resolve"))
    assert lee.post("/api/tone/people/undo", json={"reviewer": "lee"}).json() == {"undone": 2}
    found = history.resolution(disputed)
    assert (found.is_disputed, dict(found.votes)) == (True, {"ann": "good", "bo": "bad"})
    assert not history.can_undo(disputed, "lee")


def test_a_decision_is_taken_back_where_its_lead_has_no_answer(opened, disputed):
    lee = by(opened, "lee")
    send(lee, event(disputed, "bad", kind="resolve"))
    people = {one["name"]: one for one in lee.get("/api/tone/people").json()["people"]}
    assert (people["lee"]["answers"], people["lee"]["decisions"]) == (0, 1)
    assert lee.post("/api/tone/people/undo", json={"reviewer": "lee"}).json() == {"undone": 1}
    assert opened.state.session("tone").history.resolution(disputed).is_disputed


def test_after_a_decision_is_undone_the_answer_below_it_can_be_undone_too(opened, disputed):
    lee = by(opened, "lee")
    send(lee, event(disputed, "good", number=2), event(disputed, "bad", kind="resolve"))
    undos = [send(lee, event(disputed, kind="undo", number=number))["outcomes"][0] for number in range(3)]
    assert [one["outcome"] for one in undos] == ["kept", "kept", "refused"]


def test_a_skip_can_be_undone_once(opened, disputed):
    ann = by(opened, "ann")
    send(ann, event(disputed, kind="skip"))
    undos = [send(ann, event(disputed, kind="undo", number=number))["outcomes"][0] for number in range(2)]
    assert [one["outcome"] for one in undos] == ["kept", "refused"]


def test_a_correction_that_is_made_while_answers_are_taken_back_stays(opened, disputed, monkeypatch):
    state, find = opened.state, opened.state._find
    given = EventsIn(events=(EventIn(event_id="meanwhile", id=disputed, kind="answer", value="good"),))

    async def find_slowly(*asked, **options):
        monkeypatch.setattr(state, "_find", find)
        await state.accept("tone", given, Person("bo", "annotator"))
        await find(*asked, **options)

    monkeypatch.setattr(state, "_find", find_slowly)
    assert opened.run(state.undo_person("tone", "bo", Person("lee", LEAD))) == 0
    assert dict(state.session("tone").history.resolution(disputed).votes) == {"ann": "good", "bo": "good"}


def test_in_a_review_that_is_read_only_nothing_is_taken_back(tmp_path):
    options = {"accounts": ACCOUNTS, "user_header": "X-User", "trust": (PROXY,), "read_only": True}
    with review(tmp_path, **options) as found:
        answer = by(found, "lee").post("/api/tone/people/undo", json={"reviewer": "ann"})
    assert (answer.status_code, "read-only" in answer.json()["message"]) == (403, True)


def test_the_figures_of_all_people_are_made_in_one_pass(opened, disputed, monkeypatch):
    history = opened.state.session("tone").history
    passes, inputs = [], history.inputs
    monkeypatch.setattr(history, "inputs", lambda: passes.append(1) or inputs())
    assert len(by(opened, "lee").get("/api/tone/people").json()["people"]) == 3
    assert passes == [1]
