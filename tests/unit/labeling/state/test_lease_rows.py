"""The lease beside rows that other passes left in staging, written out: who is waited for, who is dead, who is told.

SQLite stands in for Spark: it takes the lease's statements, which are plain SQL, in no time. tests/spark/literal gives
them to Spark.
"""

import json
import os
import sqlite3
import threading
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest

from sparklabel.errors import ConflictError
from sparklabel.labeling.state import lease as lease_module
from sparklabel.labeling.state.lease import Holder, Lease
from sparklabel.labeling.state.staging import Staging
from sparklabel.machine import process_start
from sparklabel.table.shards import Shard


class Session:
    """A session whose staging table is in SQLite. `fails` is raised in place of an answer; `statements` counts."""

    def __init__(self):
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        self._one_at_a_time = threading.Lock()
        self._database.execute("ATTACH ':memory:' AS delta")
        self._database.execute("CREATE TABLE delta.staging (pass_id TEXT, staged_at TEXT, lease TEXT)")
        self.fails, self.statements, self.pools = None, 0, []
        self.sparkContext = SimpleNamespace(setLocalProperty=lambda *pool: self.pools.append(pool))

    def sql(self, text):
        with self._one_at_a_time:
            self.statements += 1
            if self.fails:
                raise self.fails
            cursor = self._database.execute(text.replace("now()", "current_timestamp"))
            names = [column[0] for column in cursor.description or ()]
            rows = [dict(zip(names, row, strict=True)) for row in cursor]
        return SimpleNamespace(collect=lambda: rows)

    def signs(self):
        """The passes in staging with their leases; None is an answer."""
        rows = self.sql("SELECT pass_id, lease FROM delta.staging ORDER BY pass_id, lease").collect()
        return [(row["pass_id"], row["lease"]) for row in rows]

    def leave(self, **signs):
        """Rows of other passes; a `Holder` is written as passes do it."""
        for pass_id, sign in signs.items():
            text = json.dumps(asdict(sign)) if isinstance(sign, Holder) else sign
            self._database.execute("INSERT INTO delta.staging VALUES (?, '', ?)", (pass_id, text))


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """The shortest and the longest that each pause may be, in seconds, on a clock that only pauses move on. They are
    the shortest, and no pass takes a hundred."""
    drawn, slept = [], []

    def draw(shortest, longest):
        drawn.append((shortest, longest))
        assert len(drawn) < 100, "it waits for ever"
        return shortest

    # The lease's own, because other threads of this process pause as well.
    monkeypatch.setattr(lease_module, "random", SimpleNamespace(uniform=draw))
    clock = SimpleNamespace(sleep=slept.append, monotonic=lambda: sum(slept))
    monkeypatch.setattr(lease_module, "time", clock)
    # Tests with Spark in this process do not wait.
    monkeypatch.setattr(lease_module, "_SILENCE_SECONDS", 300.0)
    return drawn


@pytest.fixture(autouse=True)
def joined(monkeypatch):
    """A thread that does not end fails the test that waits for it, and does not hold it up for ever."""
    join = threading.Thread.join

    def join_or_fail(thread, timeout=10):
        join(thread, timeout)
        assert not thread.is_alive(), "its thread does not end"

    monkeypatch.setattr(threading.Thread, "join", join_or_fail)


@pytest.fixture
def beating(monkeypatch):
    """Signs of life without a pause."""
    monkeypatch.setattr(lease_module, "_BEAT_SECONDS", 0.001)


@pytest.fixture
def session():
    return Session()


@pytest.fixture
def said():
    """What the user was told."""
    return []


@pytest.fixture
def lease(session, said):
    """Makes the lease of `me`, or of another pass in this process."""

    def make(shard=None, pass_id="me", say=said.append):
        return Lease(session, Staging("staging", pass_id, "f", ("m",), "d"), shard, say)

    return make


def living(pass_id="living", shard=None):
    """A pass in a process that lives on this machine: the one that started this."""
    pid = os.getppid()
    return replace(Holder.this(pass_id, shard), pid=pid, started=process_start(pid))


def elsewhere(pass_id="elsewhere", shard=None):
    return replace(Holder.this(pass_id, shard), host="elsewhere", who="ann@elsewhere")


def take(lease):
    with lease:
        pass


def test_a_lease_is_a_row_that_is_there_as_long_as_its_block(session, lease):
    session.leave(dead=replace(living("dead"), started="long ago"), me=None, other=None)
    before = session.signs()
    with lease(Shard(1, 2)) as held:
        assert not held.released
        (own,) = (sign for row in session.signs() if row not in before for sign in row[1:])
        assert json.loads(own) == asdict(Holder.this("me", Shard(1, 2))) | {"shard": [1, 2]}
        assert Holder.this("me", None).is_alive_here
        assert [thread.daemon for thread in threading.enumerate() if thread.name == "lease"] == [True]
    assert session.signs() == before, "answers stay, and so does what belongs to others"
    assert not Holder.this("me", None).is_alive_here


def test_a_lease_that_was_cleared_with_its_answers_is_not_given_back_again(session, lease):
    with lease() as held:
        held.released = True
    assert [pass_id for pass_id, _ in session.signs()] == ["me"]


def test_passes_that_ended_without_giving_their_lease_back_are_told_from_the_others(session, lease, said):
    session.leave(
        gone=replace(living("gone"), started="long ago"), session=Holder.this("session", None),
        shard=living("shard", Shard(1, 2)), ended=None,
    )  # fmt: skip
    with lease(Shard(0, 2)) as held:
        assert sorted(held.dead) == ["gone", "session"]
    assert said == []


def test_a_pass_of_another_process_is_named_once_it_was_seen_twice(session, lease, said, pauses):
    session.leave(living=living())
    with pytest.raises(ConflictError, match=f"process {os.getppid()}.*in pass living"):
        take(lease())
    assert session.statements == 4, "a look beside a lease that is given back, and one without"
    assert [pass_id for pass_id, _ in session.signs()] == ["living"]
    assert not Holder.this("me", None).is_alive_here
    assert said == [], "who is here is not waited for"
    assert len(pauses) == 1


def test_two_that_start_at_once_do_not_both_give_up(session, lease):
    session.leave(living=living())
    withdrawn = session.sql

    def withdraw(text):
        if text.startswith("DELETE"):
            withdrawn("DELETE FROM delta.staging WHERE pass_id = 'living'")
        return withdrawn(text)

    session.sql = withdraw
    with lease() as held:
        assert held.dead == ()


def test_two_that_come_again_at_the_same_moment_do_not_both_give_up(session, lease, monkeypatch):
    """Each appends before the other looks, and withdraws before the other looks again."""
    ask, drawn = session.sql, []

    def meet(text):
        if text.startswith("INSERT") and len(drawn) < 3:
            drawn.append(text)
            session.leave(living=living())
        if text.startswith("DELETE"):
            ask("DELETE FROM delta.staging WHERE pass_id = 'living'")
        return ask(text)

    monkeypatch.setattr(session, "sql", meet)
    with lease():
        assert len(drawn) == 3
        assert [pass_id for pass_id, _ in session.signs()] == ["me"]


def test_a_pass_that_comes_while_another_is_waited_for_is_looked_at_twice(session, lease, monkeypatch):
    """It may be about to withdraw, as the first one was."""
    session.leave(living=living())
    ask, looks = session.sql, []

    def change(text):
        if text.startswith("SELECT"):
            looks.append(text)
            if len(looks) > 1:
                ask("DELETE FROM delta.staging WHERE pass_id IN ('living', 'late')")
            if len(looks) == 2:
                session.leave(late=living("late"))
        return ask(text)

    monkeypatch.setattr(session, "sql", change)
    take(lease())
    assert len(looks) == 4


def test_a_lease_that_is_interrupted_before_it_is_held_is_given_back(session, lease, monkeypatch):
    ask = session.sql

    def interrupt(text):
        if text.startswith("SELECT"):
            raise KeyboardInterrupt
        return ask(text)

    monkeypatch.setattr(session, "sql", interrupt)
    with pytest.raises(KeyboardInterrupt):
        take(lease())
    monkeypatch.setattr(session, "sql", ask)
    assert session.signs() == []
    assert not Holder.this("me", None).is_alive_here


def test_a_pass_of_this_process_holds_off_another_one(lease):
    with lease(pass_id="first"), pytest.raises(ConflictError, match="in pass first"):
        take(lease())
    take(lease())


WAITING = "waiting for a pass of ann@elsewhere: it counts as dead if it gives no sign of life for 300 s"


def test_a_pass_elsewhere_that_gives_a_sign_meanwhile_is_alive(session, lease, said):
    session.leave(elsewhere=elsewhere())

    def say(text):
        said.append(text)
        session.leave(elsewhere=elsewhere())

    with pytest.raises(ConflictError, match="ann@elsewhere"):
        take(lease(say=say))
    assert said == [WAITING]


def test_a_pass_elsewhere_is_waited_for_until_it_was_silent_for_five_minutes(session, lease, said, pauses):
    session.leave(elsewhere=elsewhere())
    with lease() as held:
        assert held.dead == ("elsewhere",)
    assert said == [WAITING]
    assert pauses == [(0.5, 3.0)] + [(5.0, 10.0)] * 60, "300.5 seconds"


def test_a_lease_that_cannot_be_read_is_told_once_and_skipped(session, lease, said):
    session.leave(broken="{", elsewhere=elsewhere())
    with lease() as held:
        assert held.dead == ("elsewhere",)
    assert [text for text in said if text != WAITING] == [
        "the lease of pass broken in staging cannot be read, and is skipped"
    ]


@pytest.mark.usefixtures("beating")
def test_signs_of_life_are_given_until_the_lease_is_stopped(session, lease):
    with lease() as held:
        assert any(len(session.signs()) > 3 for _ in range(100_000))
        held.stop()
        assert "lease" not in {thread.name for thread in threading.enumerate()}
        assert set(session.signs()) == {("me", json.dumps(asdict(Holder.this("me", None))))}
        assert session.pools == [("spark.scheduler.pool", "sparklabel")]
    assert session.signs() == []


@pytest.mark.usefixtures("beating")
def test_an_error_of_the_session_ends_no_signs_of_life_and_hides_nothing(session, lease):
    def lose():
        session.fails = ConnectionError("the server is gone")
        before = session.statements
        assert any(session.statements > before + 3 for _ in range(10_000_000))
        raise ZeroDivisionError

    held = lease()
    with pytest.raises(ZeroDivisionError), held:
        lose()
    assert "lease" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.usefixtures("beating")
def test_a_session_without_pools_gives_signs_of_life_all_the_same(session, lease):
    def refuse(*_):
        raise ConnectionError("no pool")

    session.sparkContext.setLocalProperty = refuse
    with lease():
        assert any(len(session.signs()) > 1 for _ in range(100_000))


def test_a_sign_of_life_that_hangs_does_not_hold_up_the_end_of_a_pass(session, lease, said):
    with lease() as held:
        held.stop()
        held._beating = SimpleNamespace(join=lambda seconds: None, is_alive=lambda: True)
    assert said == ["a sign of life has not come through for 120 s: it is left behind"]
    assert session.signs() == []


def test_a_pass_that_was_only_silent_keeps_its_lease(session, lease):
    session.leave(gone=elsewhere("gone"), silent=elsewhere("silent"))
    with lease() as held:
        assert set(held.dead) == {"gone", "silent"}
        session.leave(silent=None)
        held.look_again()
        assert held.dead == ("gone",)
        session.fails = ConnectionError("gone")
        held.look_again()
        assert held.dead == ()
        session.fails = None
