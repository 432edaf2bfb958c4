"""A hub that is busy is asked again; one that refuses is not."""

import logging
from types import SimpleNamespace

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from sparklabel.errors import ModelError, ModelUnreachable
from sparklabel.models import retries
from sparklabel.models.references import resolve

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Answered(OSError):
    """An error of the hub's client, which has the server's answer."""

    def __init__(self, status):
        super().__init__(f"HTTP {status}")
        self.response = SimpleNamespace(status_code=status)


def wrapped(status):
    """The same as the hub's client raises it when it has no copy of its own."""
    error = LocalEntryNotFoundError("cannot find a snapshot folder")
    error.__cause__ = Answered(status)
    return error


@pytest.fixture
def waits(monkeypatch):
    """The seconds that were waited; no time passes."""
    waited = []
    # The module's own, because other threads of this process pause as well.
    monkeypatch.setattr(retries, "time", SimpleNamespace(sleep=waited.append))
    return waited


@pytest.fixture
def hub(monkeypatch, waits):
    """Makes the hub raise these errors, one a request, before it gives the model. Returns what it was asked."""

    def make(*errors):
        left, asked = list(errors), []

        def snapshot_download(hub_id, **_):
            asked.append(hub_id)
            if left:
                raise left.pop(0)
            return f"/hub/snapshots/{COMMIT}"

        monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
        return asked

    return make


@pytest.mark.parametrize("error", [Answered(429), Answered(503), wrapped(429), wrapped(500)], ids=str)
def test_a_busy_hub_is_asked_again(hub, waits, error):
    asked = hub(error, error)
    assert resolve("org/tiny").revision == COMMIT
    assert (len(asked), len(waits)) == (3, 2)


def test_a_hub_that_stays_busy_is_an_error_after_at_most_95_seconds(hub, waits):
    asked = hub(*[Answered(429)] * 99)
    with pytest.raises(ModelUnreachable, match="HTTP 429"):
        resolve("org/tiny")
    assert len(asked) == 8
    assert sum(waits) <= 95


def test_waits_are_drawn_from_ever_longer_spans(hub, waits, monkeypatch):
    monkeypatch.setattr("random.random", lambda: 0.5)
    hub(*[Answered(429)] * 7)
    resolve("org/tiny")
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 16.0]


def test_waiting_is_said_once(hub, caplog):
    hub(Answered(429), Answered(429))
    with caplog.at_level(logging.INFO):
        resolve("org/tiny")
    assert [r.message for r in caplog.records] == [
        "The hub, org/tiny: the server is busy and will be asked again (HTTP 429)"
    ]


@pytest.mark.parametrize(
    "error", [Answered(401), wrapped(404), OSError("no network"), ValueError("a bad name")], ids=str
)
def test_a_hub_that_refuses_or_is_not_there_is_not_asked_again(hub, waits, error):
    hub(error)
    with pytest.raises(ModelError):
        resolve("org/tiny")
    assert waits == []
