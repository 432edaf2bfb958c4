"""The lease of a pass: two passes over the same rows would compute everything twice.

In: the staging table of a table and task. Out: a lease, held while its block runs, or an error that names the holder. A
lease is a row in staging, and heartbeats are further rows: appends, which never conflict. A pass appends first and then
looks, so of two that start at once, the later one sees the other and withdraws. A killed pass loses its lease at once
if its process is seen to be gone from this machine, otherwise after some silence. Heartbeats are late while chunks and
MERGEs occupy every slot of the cluster, so the silence is longer than these take.
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
from dataclasses import asdict, dataclass, fields
from typing import Any

from pyspark.sql import SparkSession

from sparklabel.delta.commits import CLEANUP_ERRORS, delete_rows
from sparklabel.delta.errors import session_errors
from sparklabel.errors import ConflictError
from sparklabel.labeling.state.staging import Staging
from sparklabel.machine import host_id, process_start
from sparklabel.sql import sql_string

_BEAT_SECONDS, _LATE_SECONDS = 20.0, 60.0
_SILENCE_SECONDS, _SILENCE_HERE_SECONDS = 300.0, 1800.0
"""After so long without a heartbeat a pass on another machine counts as dead; and so does one whose process is alive on
this machine, as its Spark session may have ended."""
_PAUSE, _LONG_PAUSE = (0.5, 3.0), (5.0, 10.0)
"""Seconds between two checks for other passes; the long pause while waiting for a silent one."""
_LIVING: set[str] = set()
"""The passes running in this process. A lease of this process that is not among them was left by a dead session."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A running pass: who started it and where, and the condition on its rows (None for all)."""

    pass_id: str
    who: str
    host: str
    pid: int
    started: str
    where: str | None

    @classmethod
    def this(cls, pass_id: str, where: str | None) -> "Holder":
        try:
            user = getpass.getuser()
        except (KeyError, OSError):  # a container without a name for its user
            user = str(os.getuid())
        pid = os.getpid()
        return cls(pass_id, f"{user}@{platform.node()}", host_id(), pid, process_start(pid), where)

    @classmethod
    def read(cls, sign: str) -> "Holder":
        """From a row's JSON. Fields that a newer release adds are ignored."""
        found = json.loads(sign)
        return cls(**{field.name: found.get(field.name) for field in fields(cls)})

    @property
    def is_here(self) -> bool:
        return self.host == host_id()

    def is_alive(self, silent_seconds: float) -> bool:
        """Whether the pass may still be running, `silent_seconds` after its last heartbeat."""
        if not self.is_here:
            return silent_seconds <= _SILENCE_SECONDS
        if self.pid == os.getpid():
            return self.pass_id in _LIVING
        return process_start(self.pid) == self.started and silent_seconds <= _SILENCE_HERE_SECONDS


@dataclass(frozen=True, slots=True)
class _Seen:
    holder: Holder
    silent_seconds: float
    last: Any

    def conflict(self) -> ConflictError:
        who, pid = self.holder.who, self.holder.pid
        late = (
            f"; its last heartbeat is {self.silent_seconds:.0f} s old"
            if self.silent_seconds > _LATE_SECONDS
            else ""
        )
        return ConflictError(
            f"{who} (process {pid}) is labeling the same rows, in pass {self.holder.pass_id}{late}.",
            hint="Wait until that pass has ended, or give each its own rows with where=."
            + (
                f" If process {pid} no longer labels because its Spark session is gone, end it."
                if late
                else ""
            ),
        )


class Lease:
    """Held inside its block. `shares_rows` says whether a condition and this pass's have rows in common, `say` tells
    the user about waiting. `dead` are the passes that ended without giving their lease back."""

    def __init__(
        self,
        spark: SparkSession,
        staging: Staging,
        where: str | None,
        shares_rows: Callable[[str | None], bool],
        say: Callable[[str], None],
    ) -> None:
        self._spark, self._staging, self._shares_rows, self._say = spark, staging, shares_rows, say
        self._me = Holder.this(staging.pass_id, where)
        self._ended, self.released = threading.Event(), False
        self.dead: tuple[str, ...] = ()
        self._beating = threading.Thread(target=self._beat, name="lease", daemon=True)

    def __enter__(self) -> "Lease":
        """Raises ConflictError where another pass holds it."""
        _LIVING.add(self._me.pass_id)
        try:
            self._take()
        except BaseException:
            _LIVING.discard(self._me.pass_id)
            raise
        self._beating.start()
        return self

    def stop(self) -> None:
        """Stops the heartbeats, before their rows are cleared."""
        self._ended.set()
        self._beating.join()

    def __exit__(self, *_: object) -> None:
        self.stop()
        _LIVING.discard(self._me.pass_id)
        if not self.released:
            # The session may be what died; then silence ends the lease. The error to report is what ended the block.
            with suppress(*CLEANUP_ERRORS):
                self._give_back()

    def _take(self) -> None:
        waited_for: dict[str, _Seen] = {}
        while True:
            self._append()
            others = self._others()
            if not others:
                return
            self._give_back()
            pause = _PAUSE
            for seen in others:
                before = waited_for.setdefault(seen.holder.pass_id, seen)
                # The first time, the other one may be about to withdraw as well.
                if before is not seen and (seen.holder.is_here or seen.last != before.last):
                    raise seen.conflict()
                if before is not seen:
                    pause = _LONG_PAUSE
                elif not seen.holder.is_here:
                    self._say(
                        f"waiting for a pass of {seen.holder.who}: its last heartbeat is {seen.silent_seconds:.0f} s "
                        f"old, and it counts as dead after {_SILENCE_SECONDS:.0f} s"
                    )
            time.sleep(random.uniform(*pause))

    def _others(self) -> list[_Seen]:
        """The living passes that share rows with this one."""
        signs = self._spark.sql(
            "SELECT lease, staged_at AS last, "
            "unix_timestamp(current_timestamp()) - unix_timestamp(staged_at) AS silent "
            f"FROM {self._staging.sql} WHERE lease IS NOT NULL AND pass_id <> {sql_string(self._me.pass_id)}"
        ).collect()
        latest = {row["lease"]: row for row in sorted(signs, key=lambda row: -row["silent"])}
        seen = [_Seen(Holder.read(row["lease"]), row["silent"], row["last"]) for row in latest.values()]
        alive = [one for one in seen if one.holder.is_alive(one.silent_seconds)]
        self.dead = tuple(one.holder.pass_id for one in seen if one not in alive)
        return [one for one in alive if self._shares_rows(one.holder.where)]

    def _append(self) -> None:
        sign = json.dumps(asdict(self._me))
        self._spark.sql(
            f"INSERT INTO {self._staging.sql} (pass_id, staged_at, lease) "
            f"VALUES ({sql_string(self._me.pass_id)}, current_timestamp(), {sql_string(sign)})"
        ).collect()

    def _give_back(self) -> None:
        own = f"pass_id = {sql_string(self._me.pass_id)} AND lease IS NOT NULL"
        delete_rows(self._spark, self._staging.sql, own, "Giving back the lease")

    def _beat(self) -> None:
        while not self._ended.wait(_BEAT_SECONDS):
            with suppress(*session_errors()):  # the next one may work
                self._append()
