"""Kept hidden states on their way from the table to the probe."""

import asyncio
from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from sparklabel.errors import TableError
from sparklabel.reviewing.probe.kept_states import tell_kept_states


def done(result):
    future = Future()
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
    return future


@pytest.fixture
def brought():
    """What a probe is told of 2,500 rows, of which the table says what it is asked for."""

    def bring(model, states=lambda hashes: dict.fromkeys(hashes, b"s")):
        told = []
        table = SimpleNamespace(
            hidden_states_model=lambda task: done(model),
            hidden_states=lambda task, of, hashes: done(states(hashes)),
        )
        probe = SimpleNamespace(
            tell_hidden_states=lambda of, found, is_last: told.append((of, len(found), is_last))
        )
        asyncio.run(tell_kept_states(table, probe, "tone", [f"h{n}" for n in range(2500)]))
        return told

    return bring


def test_they_are_told_in_parts_and_which_is_the_last(brought):
    assert brought("m") == [("m", 1000, False), ("m", 1000, False), ("m", 500, True)]


def test_where_no_pass_has_kept_any_nothing_is_told(brought):
    assert brought("") == []


def test_what_cannot_be_read_is_logged_and_keeps_nobody(brought, caplog):
    assert brought(TableError("no Spark")) == []
    assert "could not be read: no Spark" in caplog.text
