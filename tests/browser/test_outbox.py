"""Answers that the server has not acknowledged: they are kept, the page says so, and they come to it by themselves."""

import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import pytest

from sparklabel.reviewing.journal import Journal
from tests.browser.conftest import held, saved
from tests.browser.reviews import Review, free_port, tone_rows

REFUSED = "Failed to load resource: net::ERR_CONNECTION_REFUSED"


@contextmanager
def process(folder, port):
    """A server to kill. Gives its process and link."""
    command = [sys.executable, "-m", "tests.browser.reviews", str(folder), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server, server.stdout.readline().strip()
        finally:
            server.kill()


def arrived(folder):
    with Journal(folder / "review.db") as journal:
        return [event.input_hash for event in journal.events()]


@pytest.fixture
def ann(visitor):
    """A visitor whose console may say that the server was away."""
    one = visitor()
    yield one
    one.console[:] = [line for line in one.console if "Failed to load resource" not in line]


def comes(one, link):
    url, token = link.split("/?token=")
    return one.comes(Review(url, token, None, None))


def test_answers_while_the_server_is_killed_arrive_once_it_is_back_without_a_reload(ann, tmp_path):
    port = free_port()
    with process(tmp_path, port) as (server, link):
        page = comes(ann, link)
        for number in range(12):
            if number == 5:
                server.kill()  # SIGKILL
                server.wait()
            page.keyboard.press("1")
        page.get_by_role("status").filter(has_text="to save, safe here: no connection").wait_for()
        assert page.locator("#texts").inner_text() == "text number 12"
    with process(tmp_path, port):
        saved(page)
    page.close()
    assert sorted(arrived(tmp_path)) == sorted(f"row-{n}" for n in range(12))


def test_what_waits_survives_a_reload(ann, serve):
    review = serve()
    page = ann.comes(review)
    page.route("**/events", lambda route: route.fulfill(status=503, json={"message": "The disk is full."}))
    page.keyboard.press("1")
    page.keyboard.press("2")
    page.get_by_role("status").filter(has_text="2 to save, safe here: The disk is full.").wait_for()
    page.unroute_all()
    page.reload()
    page.locator(
        "#texts", has_text="text number 2"
    ).wait_for()  # rows that wait to be saved are not shown again
    saved(page)
    assert review.answers == {"row-0": "good", "row-1": "bad"}
    assert len(review.kinds) == 2


def test_without_local_storage_the_next_row_waits_for_the_acknowledgement(visitor, serve):
    review, one = serve(), visitor()
    one.context.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('none') } })"
    )
    page = one.comes(review)
    routes = []
    page.route("**/events", lambda route: routes.append(route))
    page.keyboard.press("2")
    page.locator("#row-title", has_text="Saving").wait_for()
    page.keyboard.press("2")  # there is nothing to answer
    held(page, routes).continue_()
    page.locator("#texts", has_text="text number 1").wait_for()
    assert review.answers == {"row-0": "bad"}
    assert routes == []


def test_a_refused_answer_is_told_and_the_others_are_saved(visitor, serve):
    review = serve(rows=tone_rows(30))
    page = visitor().comes(review)
    known = review.state.session("tone")._rows
    known["row-0"] = replace(known["row-0"], key='{"of another table": 0}')
    del known["row-1"], review.table.rows["tone"]["row-1"]
    for _ in range(3):
        page.keyboard.press("1")
    saved(page)
    assert "1 answer not taken. There is no such row." in page.locator("#notice").inner_text()
    assert list(review.answers) == ["row-0", "row-2"]


def test_the_answer_to_a_row_that_was_deleted_before_a_restart_is_kept(visitor, serve):
    review = serve(rows=tone_rows(30))
    page = visitor().comes(review)
    del review.state.session("tone")._rows["row-1"], review.table.rows["tone"]["row-1"]
    for _ in range(3):
        page.keyboard.press("1")
    saved(page)
    assert list(review.answers) == ["row-0", "row-1", "row-2"]


@pytest.mark.parametrize(("back", "seen"), [(2, "text number 0"), (1, "text number 2")])
def test_a_refusal_while_an_older_row_is_looked_at_leaves_the_screen_and_the_answers_in_step(
    visitor, serve, back, seen
):
    review = serve(rows=tone_rows(30))
    page = visitor().comes(review)
    page.keyboard.press("1")
    saved(page)
    routes = []
    page.route("**/events", lambda route: routes.append(route))
    page.keyboard.press("1")
    route = held(page, routes)
    for _ in range(back):
        page.keyboard.press("ArrowLeft")
    _refuse(route)
    page.locator("#notice", has_text="1 answer not taken. Not so.").wait_for()
    assert page.locator("#texts").inner_text() == seen
    page.unroute_all()
    page.keyboard.press("2")
    saved(page)
    assert review.answers == {"row-0": "good"} | {f"row-{seen[-1]}": "bad"}


def test_a_row_whose_answer_was_refused_comes_again(visitor, serve):
    review = serve(rows=tone_rows(3))
    page = visitor().comes(review)
    page.keyboard.press("1")
    saved(page)
    page.route("**/events", _refuse, times=1)
    page.keyboard.press("1")
    page.locator("#notice", has_text="1 answer not taken").wait_for()
    page.keyboard.press("1")
    page.locator("#texts", has_text="text number 1").wait_for()
    page.keyboard.press("2")
    saved(page)
    assert review.answers == {"row-0": "good", "row-1": "bad", "row-2": "good"}


def test_a_refused_correction_leaves_the_answer_before_it(visitor, serve):
    review = serve()
    page = visitor().comes(review)
    page.keyboard.press("1")
    saved(page)
    page.route("**/events", _refuse, times=1)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("2")
    page.locator("#notice", has_text="1 answer not taken").wait_for()
    page.keyboard.press("ArrowLeft")
    page.get_by_role("button", name="1 good your answer").wait_for()
    page.keyboard.press("u")
    saved(page)
    assert review.kinds == ["answer", "undo"]


def _refuse(route):
    events = route.request.post_data_json["events"]
    refused = [{"event_id": e["event_id"], "outcome": "refused", "why": "Not so."} for e in events]
    route.fulfill(json={"outcomes": refused})


def test_requests_say_whose_page_it_is_and_what_the_person_saw(visitor, serve):
    review, one = serve(), visitor()
    asked, sent, drawn = [], [], {}
    one.page.on("request", lambda r: asked.append(r.post_data_json) if r.url.endswith("/next") else None)
    one.page.on("request", lambda r: sent.append(r.post_data_json) if r.url.endswith("/events") else None)
    one.page.route("**/next", lambda route: _told_before(route, drawn))
    page = one.comes(review)
    page.keyboard.press("1")
    saved(page)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("2")
    saved(page)
    assert {body["reviewer"] for body in asked + sent} == {"ann"}
    assert [event["before"] for body in sent for event in body["events"]] == [drawn["row-0"]] * 2
    assert drawn["row-0"]["reviewer"] == "bo"


def _told_before(route, drawn):
    response = route.fetch()
    content = response.json()
    for row in content["rows"]:
        row["before"] = {"value": "bad", "reviewer": "bo", "reviewed_at": "2026-11-30T00:00:00+00:00"}
        drawn[row["id"]] = row["before"]
    route.fulfill(response=response, json=content)


def test_who_is_signed_out_is_told_and_loses_nothing(ann, serve):
    review = serve()
    page = ann.comes(review)
    cookies = ann.context.cookies()
    ann.context.clear_cookies()
    page.keyboard.press("1")
    page.get_by_role("status").filter(
        has_text="1 to save, safe here: This review is open to who has its link. The link stands in the terminal"
    ).wait_for()
    ann.context.add_cookies(cookies)
    saved(page)
    assert review.answers == {"row-0": "good"}


@pytest.mark.parametrize("status", [401, 403])
def test_why_a_person_may_not_answer_is_said_in_the_words_of_the_server(ann, serve, status):
    review = serve()
    page = ann.comes(review)
    message = "This page is ann's; you are signed in as ann2."
    page.route("**/events", lambda route: route.fulfill(status=status, json={"message": message, "hint": ""}))
    page.keyboard.press("1")
    page.get_by_role("status").filter(has_text=f"1 to save, safe here: {message}").wait_for()
    page.unroute_all()
    saved(page)
    assert review.answers == {"row-0": "good"}


@pytest.mark.parametrize(
    ("age", "error", "said"),
    [
        (242.0, None, "Not in the table for 4 minutes, safe here"),
        (60.0, "The table is away.", "Not in the table for 1 minute, safe here"),
        (0.0, "The table is away.", "All saved, but the table does not answer"),
    ],
)
def test_answers_that_are_not_in_the_table_are_said_to_be_safe(visitor, serve, age, error, said):
    def late(route):
        response = route.fetch()
        content = response.json()
        content["progress"] |= {"in_table_age_s": age, "waiting_to_save": 0, "table_error": error}
        route.fulfill(response=response, json=content)

    page = visitor().comes(serve())
    page.route("**/events", late)
    page.keyboard.press("1")
    page.get_by_role("status").filter(has_text=said).wait_for()
    assert (page.locator("#saving").get_attribute("title") or None) == error
