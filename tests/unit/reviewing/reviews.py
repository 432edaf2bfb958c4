"""Reviews to test with: generated rows in memory, a journal on disk, the app in this process."""

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from starlette.testclient import TestClient

from sparklabel.reviewing.journal import Journal
from sparklabel.reviewing.records import ReviewRow, RowLabel
from sparklabel.reviewing.review_call import ReviewCall
from sparklabel.reviewing.review_secret import ReviewSecret, open_secret
from sparklabel.reviewing.review_state import ReviewState
from sparklabel.reviewing.table.memory_table import MemoryTable
from sparklabel.reviewing.web.app import make_app
from sparklabel.splits import is_held_out
from sparklabel.tasks import classification

TASK = classification("tone", inputs="text", labels=["good", "bad"])
OURS = {"X-Sparklabel": "1", "Sec-Fetch-Site": "same-origin"}
BASE = "http://127.0.0.1:8765"


def text_row(number, text=None, **fields):
    """A row whose label the model said: good, on an even number, otherwise bad."""
    inputs = (f"text {number}" if text is None else text,)
    value, other = ("good", "bad") if number % 2 == 0 else ("bad", "good")
    label = RowLabel(
        value=value, model_value=value, confidence=0.8, alternatives=((value, 0.8), (other, 0.2)), status="ok",
        model="m1", source="model",
    )  # fmt: skip
    given = {"is_held_out": is_held_out(inputs), "label": label, "key": f'{{"id":{number}}}'} | fields
    return ReviewRow(input_hash=f"h{number}", inputs=inputs, **given)


def text_rows(count):
    return [text_row(number) for number in range(count)]


class Clock:
    """A clock that a test sets."""

    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


@dataclass
class Review:
    """An open review."""

    state: ReviewState
    table: MemoryTable
    clock: Clock
    app: object
    secret: ReviewSecret

    def browser(self, **options):
        """A browser that has sent nothing yet."""
        given = {"base_url": BASE, "follow_redirects": False, "client": ("127.0.0.1", 50000)} | options
        return TestClient(self.app, **given)

    def person(self, name, **options):
        """A browser in which somebody has come by the link and given a name."""
        browser = self.browser(**options)
        browser.get("/", params={"token": self.secret.token})
        assert browser.post("/name", json={"name": name, "same": True}, headers=OURS).status_code == 200
        browser.headers.update(OURS)
        return browser

    def run(self, work):
        return asyncio.run(work)


@contextmanager
def review(folder: Path, rows=None, accounts=None, tasks=(TASK,), table=None, **options):
    """A review of rows in memory, whose journal is in the folder: a second one goes on with it."""
    clock = Clock()
    table = table or MemoryTable({tasks[0].name: text_rows(40) if rows is None else rows})
    call = ReviewCall(table="t", tasks=tasks, journal=folder / "review.db", **options)
    with Journal(call.journal, call.about()) as journal:
        state = ReviewState(call, journal, clock=clock, now=lambda: datetime(2026, 1, 1, tzinfo=UTC))
        asyncio.run(state.open(table))
        secret = open_secret(call.journal)
        yield Review(state, table, clock, make_app(state, secret, accounts), secret)


def event(row, value=None, kind="answer", number=0, **fields):
    """An event as a browser sends it."""
    return {"event_id": f"event-{row}-{kind}-{number}", "id": row, "kind": kind, "value": value} | fields


def rows_of(browser, count=20, have=(), **filters):
    """What /next gives."""
    body = {"have": list(have), "count": count} | ({"filter": filters} if filters else {})
    answer = browser.post("/api/tone/next", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["rows"]


def by_reason(rows, reason):
    """The first of rows that are shown for this reason."""
    return next(row for row in rows if row["reason"] == reason)


def send(browser, *events, have=()):
    """What /events gives."""
    answer = browser.post("/api/tone/events", json={"events": events, "have": list(have)})
    assert answer.status_code == 200, answer.text
    return answer.json()
