"""Answers that the server has not acknowledged: they are kept, the page says so, and they come to it by themselves."""

import subprocess
import sys
from contextlib import contextmanager

import pytest

from sparklabel.reviewing.journal import Journal
from tests.browser.conftest import saved
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
    held = []
    page.route("**/events", lambda route: held.append(route))
    page.keyboard.press("2")
    page.locator("#row-title", has_text="Saving").wait_for()
    page.keyboard.press("2")  # there is nothing to answer
    held.pop().continue_()
    page.locator("#texts", has_text="text number 1").wait_for()
    assert review.answers == {"row-0": "bad"}
    assert held == []


def test_a_refused_answer_is_told_and_the_others_are_saved(visitor, serve):
    review = serve(rows=tone_rows(30))
    page = visitor().comes(review)
    del review.state.session("tone")._rows["row-1"]
    del review.table.rows["tone"]["row-1"]
    for _ in range(3):
        page.keyboard.press("1")
    saved(page)
    assert "1 answer not taken. There is no such row." in page.locator("#notice").inner_text()
    assert list(review.answers) == ["row-0", "row-2"]


def test_who_is_signed_out_is_told_and_loses_nothing(ann, serve):
    review = serve()
    page = ann.comes(review)
    cookies = ann.context.cookies()
    ann.context.clear_cookies()
    page.keyboard.press("1")
    page.get_by_role("status").filter(has_text="1 to save, safe here: signed out").wait_for()
    ann.context.add_cookies(cookies)
    saved(page)
    assert review.answers == {"row-0": "good"}


def test_answers_that_are_not_in_the_table_for_minutes_are_said_to_be_safe(visitor, serve):
    page = visitor().comes(serve())
    page.route("**/events", _late)
    page.keyboard.press("1")
    page.get_by_role("status").filter(has_text="Not in the table for 4 minutes, safe here").wait_for()


def _late(route):
    response = route.fetch()
    content = response.json()
    content["progress"] |= {
        "in_table_age_s": 242.0,
        "waiting_to_save": 7,
        "table_error": "The table is away.",
    }
    route.fulfill(response=response, json=content)
