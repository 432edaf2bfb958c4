"""The lease of a pass: two passes over the same rows would compute everything twice.

In: the staging table of a table and task. Out: a lease, held while its block runs, or an error that names the holder. A
lease is a row in staging, and heartbeats are further rows: appends, which never conflict. A pass appends first and then
looks, so of two that start at once, the later one sees the other, withdraws and looks again. A killed pass loses its
lease at once if its process is seen to be gone from this machine; otherwise when it gave no sign of life for some time
since another pass first looked. No two clocks are compared, and nothing that another pass wrote is evaluated.
"""

import getpass
import json
import os
import platform
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass

from pyspark.sql import Row, SparkSession

from sparklabel.delta.commits import CLEANUP_ERRORS, delete_rows
from sparklabel.delta.errors import session_errors
from sparklabel.delta.session import own_job_pool
from sparklabel.errors import ConflictError
from sparklabel.labeling.state.staging import Staging
from sparklabel.machine import host_id, process_start
from sparklabel.sql import sql_string
from sparklabel.table.shards import Shard, share_rows

_BEAT_SECONDS = 60.0
"""Each sign of life is a commit to staging, and a file that stays there until the pass ends."""
_LAST_BEAT_SECONDS = 120.0
"""For a sign of life under way at the end: Spark may be retrying its commit."""
_SILENCE_SECONDS = 300.0
"""A pass on another machine that gives no sign of life for so long, by the clock of who waits, counts as dead."""
_PAUSE, _LONG_PAUSE = (0.5, 3.0), (5.0, 10.0)
"""Seconds between two checks for other passes; the long pause while waiting for a silent one."""
_LIVING: set[str] = set()
"""The passes running in this process. A lease of this process that is not among them was left by a dead session."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A running pass: who started it and where, and its shard of the rows (None for all)."""

    pass_id: str
    who: str
    host: str
    pid: int
    started: str
    shard: Shard | None

    @classmethod
    def this(cls, pass_id: str, shard: Shard | None) -> "Holder":
        try:
            user = getpass.getuser()
        except (KeyError, OSError):  # a container without a name for its user
            user = str(os.getuid())
        pid = os.getpid()
        return cls(pass_id, f"{user}@{platform.node()}", host_id(), pid, process_start(pid), shard)

    @classmethod
    def read(cls, sign: str) -> "Holder":
        """From a row's JSON. Fields that a newer release adds are ignored. Raises ValueError if it is no lease."""
        try:
            found = json.loads(sign)
            texts = [found[name] for name in ("pass_id", "who", "host", "started")]
            pid, shard = found["pid"], found.get("shard")
        except (ValueError, RecursionError, LookupError, TypeError):
            raise ValueError("not a lease") from None
        if not (all(isinstance(text, str) for text in texts) and type(pid) is int):
            raise ValueError("not a lease")
        pass_id, who, host, started = texts
        return cls(pass_id, who, host, pid, started, Shard.read(shard))

    @property
    def is_here(self) -> bool:
        return self.host == host_id()

    @property
    def is_alive_here(self) -> bool:
        """Whether its process is alive on this machine, and, if it is this process, its session."""
        if self.pid == os.getpid():
            return self.pass_id in _LIVING
        return process_start(self.pid) == self.started

    def conflict(self) -> ConflictError:
        hint = "Wait until that pass has ended, or give each its own rows: shard=(0, 2) and shard=(1, 2)."
        if self.is_here:
            hint += f" If process {self.pid} no longer labels because its Spark session is gone, end it."
        return ConflictError(
            f"{self.who} (process {self.pid}) is labeling the same rows, in pass {self.pass_id}.", hint=hint
        )


def unfinished_passes(spark: SparkSession, staging: str) -> list[Holder]:
    """The passes with a lease in a staging table (as SQL names it) that may be running: all but those whose process is
    seen to be gone from this machine. Leases that cannot be read are skipped, as passes skip them."""
    found = []
    for row in _leases(spark, staging):
        with suppress(ValueError):
            holder = Holder.read(row["lease"])
            if not holder.is_here or holder.is_alive_here:
                found.append(holder)
    return found


def _leases(spark: SparkSession, staging: str) -> list[Row]:
    """The passes with a lease: `pass_id`, `lease`, and how many `signs` of life each has given: heartbeats, answers."""
    return spark.sql(
        f"SELECT pass_id, max(lease) AS lease, count(*) AS signs FROM {staging} GROUP BY pass_id "
        "HAVING max(lease) IS NOT NULL"
    ).collect()


@dataclass(slots=True)
class Watched:
    """Another pass: how many signs of life it had given when it was looked at first, and since when there was no
    further one, by this process's monotonic clock."""

    signs: int
    since: float
    is_alive: bool = False

    def look(self, signs: int, now: float) -> None:
        if signs != self.signs:
            self.signs, self.since, self.is_alive = signs, now, True

    def is_silent(self, now: float) -> bool:
        return not self.is_alive and now - self.since >= _SILENCE_SECONDS


class Lease:
    """Held inside its block. `shard` is this pass's part of the rows, `say` tells the user about waiting. `dead` are
    the passes that ended without giving their lease back."""

    def __init__(
        self, spark: SparkSession, staging: Staging, shard: Shard | None, say: Callable[[str], None]
    ) -> None:
        self._spark, self._staging, self._say = spark, staging, say
        self._me = Holder.this(staging.pass_id, shard)
        self._ended, self.released = threading.Event(), False
        self.dead: tuple[str, ...] = ()
        self._watched: dict[str, Watched] = {}
        self._unreadable: set[str] = set()
        self._beating = threading.Thread(target=self._beat, name="lease", daemon=True)

    def __enter__(self) -> "Lease":
        """Raises ConflictError where another pass holds it."""
        _LIVING.add(self._me.pass_id)
        try:
            self._take()
        except BaseException as error:
            _LIVING.discard(self._me.pass_id)
            if not isinstance(error, ConflictError):  # then it is given back
                with suppress(*CLEANUP_ERRORS):  # others would wait for it as long as this process lives
                    self._give_back()
            raise
        self._beating.start()
        return self

    def look_again(self) -> None:
        """Looks for new signs of the `dead`: one that was only silent keeps its lease. Where it cannot look, all do."""
        if self.dead:
            self.dead = ()
            with suppress(*CLEANUP_ERRORS):
                self._others()

    def stop(self) -> None:
        """Stops the heartbeats, before their rows are cleared. One that hangs, on a store that does not answer, must
        not hold up the end of the pass."""
        self._ended.set()
        self._beating.join(_LAST_BEAT_SECONDS)
        if self._beating.is_alive():
            self._say(
                f"a sign of life has not come through for {_LAST_BEAT_SECONDS:.0f} s: it is left behind"
            )

    def __exit__(self, *_: object) -> None:
        self.stop()
        _LIVING.discard(self._me.pass_id)
        if not self.released:
            # The session may be what died; then silence ends the lease. The error to report is what ended the block.
            with suppress(*CLEANUP_ERRORS):
                self._give_back()

    def _take(self) -> None:
        """Takes it once no other pass is seen beside it. Others are judged only while it is given back: of passes that
        come again at the same moment each sees the others' leases, and the last one that would raise sees none."""
        while True:
            self._append()
            others = self._others()
            if not others:
                return
            self._give_back()
            pause = _PAUSE  # the first time, the other one may be about to withdraw as well
            while others:
                self._tell_of(others)
                time.sleep(random.uniform(*pause))
                others, pause = self._others(), _LONG_PAUSE
                for holder, is_known in others:
                    if is_known and (holder.is_here or self._watched[holder.pass_id].is_alive):
                        raise holder.conflict()

    def _tell_of(self, others: list[tuple[Holder, bool]]) -> None:
        for holder, is_known in others:
            if not (is_known or holder.is_here):
                self._say(
                    f"waiting for a pass of {holder.who}: it counts as dead if it gives no sign of life for "
                    f"{_SILENCE_SECONDS:.0f} s"
                )

    def _others(self) -> list[tuple[Holder, bool]]:
        """The living passes that share rows with this one, and whether they were seen before."""
        found, dead, now = [], [], time.monotonic()
        for holder, signs in self._holders():
            is_known = holder.pass_id in self._watched
            watched = self._watched.setdefault(holder.pass_id, Watched(signs, now))
            watched.look(signs, now)
            if (not holder.is_alive_here) if holder.is_here else watched.is_silent(now):
                dead.append(holder.pass_id)
            elif share_rows(holder.shard, self._me.shard):
                found.append((holder, is_known))
        self.dead = tuple(dead)
        return found

    def _holders(self) -> list[tuple[Holder, int]]:
        """The other passes with a lease, and how many signs of life each has given: heartbeats, and answers."""
        holders = []
        for row in _leases(self._spark, self._staging.sql):
            if row["pass_id"] == self._me.pass_id:
                continue
            try:
                holders.append((Holder.read(row["lease"]), row["signs"]))
            except ValueError:
                if row["pass_id"] not in self._unreadable:
                    self._unreadable.add(row["pass_id"])
                    self._say(
                        f"the lease of pass {row['pass_id']} in {self._staging.path} cannot be read, and is skipped"
                    )
        return holders

    def _append(self) -> None:
        sign = json.dumps(asdict(self._me))
        self._spark.sql(
            f"INSERT INTO {self._staging.sql} (pass_id, staged_at, lease) "
            f"VALUES ({sql_string(self._me.pass_id)}, now(), {sql_string(sign)})"
        ).collect()

    def _give_back(self) -> None:
        own = f"pass_id = {sql_string(self._me.pass_id)} AND lease IS NOT NULL"
        delete_rows(self._spark, self._staging.sql, own, "Giving back the lease")

    def _beat(self) -> None:
        with suppress(*session_errors()):  # without a pool of their own heartbeats are later
            own_job_pool(self._spark)
        while not self._ended.wait(_BEAT_SECONDS):
            with suppress(*session_errors()):  # the next one may work
                self._append()
