"""A running review: real sockets, real requests, its end."""

import socket
from contextlib import closing

import httpx2
import pytest

from sparklabel.errors import SetupError, TableError
from sparklabel.reviewing.journal import Journal
from sparklabel.reviewing.ports import listen
from sparklabel.reviewing.review_call import ReviewCall
from sparklabel.reviewing.serve import ReviewApp, serve
from sparklabel.reviewing.table.memory_table import MemoryTable
from tests.unit.reviewing.reviews import OURS, TASK, event, text_rows


@pytest.fixture
def table():
    return MemoryTable({"tone": text_rows(40)})


def call(folder, **options):
    given = {"table": "t", "tasks": (TASK,), "journal": folder / "review.db", "port": 0, "features": "none"}
    return ReviewCall(**given | options)


def running(folder, rows, **options):
    return ReviewApp(call(folder, **options), lambda about, name, say: rows, None)


def signed_in(app, name="ann"):
    browser = httpx2.Client(base_url=app.url.partition("?")[0].rstrip("/"), headers=OURS)
    browser.get("/", params={"token": app.url.rpartition("=")[2]})
    browser.post("/name", json={"name": name})
    return browser


def answered(browser):
    """Answers one row, and returns its id."""
    row = browser.post("/api/tone/next", json={"count": 1}).json()["rows"][0]["id"]
    found = browser.post("/api/tone/events", json={"events": [event(row, "good")]}).json()
    assert found["outcomes"][0]["outcome"] == "kept"
    return row


def test_an_answer_goes_from_the_browser_to_the_table(tmp_path, table):
    with running(tmp_path, table) as app, closing(signed_in(app.ready())) as browser:
        row = answered(browser)
        app.flush()
        assert table.rows["tone"][row].label.reviewer == "ann"


def test_the_end_writes_everything_and_reports(tmp_path, table):
    with running(tmp_path, table) as app, closing(signed_in(app.ready())) as browser:
        row = answered(browser)
        report = app.stop()
    assert table.rows["tone"][row].label.reviewer == "ann"
    assert "tone: 1 answer of 1 person" in str(report)
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(app.url)


def test_what_the_table_does_not_take_at_the_end_stays_in_the_journal(tmp_path, table):
    with running(tmp_path, table) as app, closing(signed_in(app.ready())) as browser:
        answered(browser)
        table.failure = TableError("The table is gone.")
        report = app.stop()
    assert "1 event not in the answers table yet" in str(report)
    assert "sparklabel flush --journal" in report.next_step
    with Journal(tmp_path / "review.db") as journal:
        assert journal.last_seq == 1


def test_a_table_that_cannot_be_opened_is_told(tmp_path, table):
    table.failure = TableError("There is no table t.")
    with running(tmp_path, table) as app, pytest.raises(TableError, match="no table t"):
        app.ready()


def test_two_servers_on_one_journal_are_one_too_many(tmp_path, table):
    with running(tmp_path, table), pytest.raises(SetupError, match="is in use by process"):
        running(tmp_path, table)


def test_a_journal_of_another_table_is_refused(tmp_path, table):
    with running(tmp_path, table) as app, closing(signed_in(app.ready())) as browser:
        answered(browser)
    with pytest.raises(SetupError, match="its table is 't', not 'u'"):
        running(tmp_path, table, table="u")


def test_what_is_no_certificate_is_refused_by_name(tmp_path, table):
    for name in ("c.pem", "k.pem"):
        (tmp_path / name).write_text("no key")
    with pytest.raises(SetupError, match=r"c\.pem and .*k\.pem are not a certificate and its key"):
        running(tmp_path, table, tls_cert=tmp_path / "c.pem", tls_key=tmp_path / "k.pem")


def test_a_port_that_another_review_has_names_it_and_the_next_free_one(tmp_path, table):
    with running(tmp_path, table) as app:
        port = httpx2.URL(app.url).port
        with pytest.raises(SetupError, match=f"Port {port} is taken by another review, of t") as refused:
            listen("127.0.0.1", port)
    assert "--port" in refused.value.hint


def test_a_port_that_another_program_has_is_told(tmp_path):
    with listen("127.0.0.1", 0) as taken, pytest.raises(SetupError, match="is taken by another program"):
        listen("127.0.0.1", taken.getsockname()[1])


def test_small_answers_are_sent_at_once():
    with listen("127.0.0.1", 0) as listening:
        assert listening.proto == socket.IPPROTO_TCP  # what asyncio looks at before it sets TCP_NODELAY


def test_an_address_that_is_not_this_machines_is_told():
    with pytest.raises(SetupError, match="cannot be listened on"):
        listen("203.0.113.1", 0)


def test_a_folder_that_is_no_table_is_told_before_anything_is_opened(tmp_path):
    with pytest.raises(TableError, match="no Delta table"):
        serve(call(tmp_path, table=str(tmp_path)), {})
    assert not (tmp_path / "review.db").exists()


def test_the_link_and_the_cookies_outlive_a_server(tmp_path, table):
    with running(tmp_path, table) as first:
        browser = signed_in(first.ready())
        port = httpx2.URL(first.url).port
    with running(tmp_path, table, port=port) as second, closing(browser):
        assert second.ready().url == first.url
        assert answered(browser)
