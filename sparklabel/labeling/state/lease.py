"""Who labels a task's column in a table now: two passes on the same rows would compute everything twice.

In: the staging table of table and task. Out: a lease, held while the block runs, or an error that names the holder. A
lease is a row in staging, and signs of life are further ones: appends, which never conflict. Whoever wants it appends
first and looks then: of two that come at once, the later one sees the other, and draws back. A pass that was killed
loses its lease at once where that can be seen (its process is gone from this machine), else after some silence. Signs
are late where chunks and MERGEs keep every slot of the cluster: silence is longer than these take.
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

from sparklabel.delta.commits import WRITE_ERRORS, delete_rows
from sparklabel.delta.errors import spark_errors
from sparklabel.errors import ConflictError
from sparklabel.labeling.state.staging import Staging
from sparklabel.machine import host_id, process_start
from sparklabel.sql import sql_string

_BEAT_SECONDS, _LATE_SECONDS = 20.0, 60.0
_SILENCE_SECONDS, _SILENCE_HERE_SECONDS = 300.0, 1800.0
"""Of a pass on another machine, and of one whose process is alive on this one: its session may have ended."""
_PAUSE, _LONG_PAUSE = (0.5, 3.0), (5.0, 10.0)
"""Seconds between two looks at who works; the long one while a silent pass is waited for."""
_LIVING: set[str] = set()
"""The passes of this process. One that is not among them left its lease behind: its session had died."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A pass that works: who started it and where, and the condition on its rows (None: all)."""

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
        """From a row's JSON; what a newer release adds does no harm."""
        found = json.loads(sign)
        return cls(**{field.name: found.get(field.name) for field in fields(cls)})

    @property
    def is_here(self) -> bool:
        return self.host == host_id()

    def is_alive(self, silent_seconds: float) -> bool:
        """Whether it is to be reckoned with, when its last sign of life is so many seconds old."""
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
            f"; its last sign of life is {self.silent_seconds:.0f} s old"
            if self.silent_seconds > _LATE_SECONDS
            else ""
        )
        return ConflictError(
            f"{who} (process {pid}) labels the same rows now, in pass {self.holder.pass_id}{late}.",
            hint="Wait until that pass has ended, or narrow both to rows of their own with where=."
            + (
                f" Where process {pid} no longer labels, because its Spark session is gone, end it."
                if late
                else ""
            ),
        )


class Lease:
    """Held inside its block. `shares_rows` says whether a condition and this pass's have rows in common; `say` tells
    the user what is waited for. `dead` are the passes that ended without giving theirs back."""

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
        """No more signs of life: what they leave is to be cleared."""
        self._ended.set()
        self._beating.join()

    def __exit__(self, *_: object) -> None:
        self.stop()
        _LIVING.discard(self._me.pass_id)
        if not self.released:
            # The session may be what died: silence ends the lease then. What ended the block is what is told.
            with suppress(*WRITE_ERRORS):
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
                # The first sight may be of one that draws back as well.
                if before is not seen and (seen.holder.is_here or seen.last != before.last):
                    raise seen.conflict()
                if before is not seen:
                    pause = _LONG_PAUSE
                elif not seen.holder.is_here:
                    self._say(
                        f"waiting for a pass of {seen.holder.who}: its last sign of life is "
                        f"{seen.silent_seconds:.0f} s old, "
                        f"and counts for {_SILENCE_SECONDS:.0f}"
                    )
            time.sleep(random.uniform(*pause))

    def _others(self) -> list[_Seen]:
        """Those who live, and work on rows of ours."""
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
            with suppress(*spark_errors()):  # the next one may work
                self._append()
