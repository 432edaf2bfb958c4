"""What a pass reads from the lease of another, and when that counts as dead."""

import getpass
import json
import os
import platform
from dataclasses import asdict, replace

import pytest

from sparklabel.labeling.state import lease
from sparklabel.labeling.state.lease import Holder, Watched
from sparklabel.machine import process_start
from sparklabel.table.shards import Shard

THIS = Holder.this("p1", Shard(3, 8))


def test_a_lease_is_read_as_it_was_written():
    assert Holder.read(json.dumps(asdict(THIS))) == THIS


def test_the_lease_of_another_release_is_read():
    written = asdict(THIS) | {"where": "java_method('x', 'y') = 'z'", "new": 1}
    del written["shard"]
    assert Holder.read(json.dumps(written)) == Holder.this("p1", None)


@pytest.mark.parametrize(
    "sign",
    [
        "",
        "{",
        "[]",
        "null",
        "3",
        "[" * 100_000,
        *(json.dumps(asdict(THIS) | {name: None}) for name in ("pid", "who", "host")),
        json.dumps(asdict(THIS) | {"pid": "1"}),
        json.dumps({"pass_id": "p1"}),
    ],
    ids=map(
        str, range(9)
    ),  # the texts name this process, and the processes that share the tests must call them the same
)
def test_what_is_no_lease_is_told_from_one(sign):
    with pytest.raises(ValueError, match="not a lease"):
        Holder.read(sign)


@pytest.mark.parametrize("shard", [[8, 8], "3/8", {"number": 3}, [3]])
def test_a_shard_that_cannot_be_read_is_all_rows(shard):
    assert Holder.read(json.dumps(asdict(THIS) | {"shard": shard})).shard is None


def test_a_pass_of_this_process_that_is_not_running_is_dead():
    assert (THIS.is_here, THIS.pid, THIS.is_alive_here) == (True, os.getpid(), False)


def test_a_pass_is_silent_when_no_new_sign_came_since_it_was_looked_at_first(monkeypatch):
    monkeypatch.setattr(lease, "_SILENCE_SECONDS", 300.0)  # tests with Spark in this process do not wait
    watched = Watched(signs=5, since=1000.0)
    for now in (1000.0, 1299.0):
        watched.look(5, now)
        assert not watched.is_silent(now)
    watched.look(5, 1300.0)
    assert watched.is_silent(1300.0)


def test_a_pass_that_gave_a_sign_is_alive():
    watched = Watched(signs=5, since=1000.0)
    assert not watched.is_alive
    watched.look(6, 1100.0)
    assert watched.is_alive
    assert not watched.is_silent(9999.0)


@pytest.mark.parametrize("failure", [KeyError("uid"), OSError("no user")])
def test_who_labels_is_named_by_number_where_the_system_has_no_name(failure, monkeypatch):
    def nameless():
        raise failure

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert Holder.this("p1", None).who == f"{os.getuid()}@{platform.node()}"


def test_another_process_is_alive_as_long_as_its_number_is_its_own():
    parent = replace(THIS, pid=os.getppid(), started=process_start(os.getppid()))
    assert parent.is_alive_here
    assert not replace(parent, started="1").is_alive_here


def test_only_a_pass_on_this_machine_can_be_ended_here():
    here, there = THIS.conflict(), replace(THIS, host="elsewhere").conflict()
    assert here.message == f"{THIS.who} (process {os.getpid()}) is labeling the same rows, in pass p1."
    assert (
        here.hint
        == f"{there.hint} If process {os.getpid()} no longer labels because its Spark session is gone, end it."
    )
    assert there.hint.startswith("Wait until that pass has ended, or give each its own rows")
