"""What ends a pass before its work is done: failures of the engine, time, a person's Ctrl-C.

In: what was computed so far. Out: a reason to stop, between two chunks: what is staged is kept and merged.
"""

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sparklabel.delta_table import table_sql
from sparklabel.errors import TableError
from sparklabel.labels import quote, silent_sql
from sparklabel.table.chunks import Work
from sparklabel.table.drift import ON_DRIFT

MAX_ERROR_RATIO, MAX_SECONDS, DRIFT, INTERRUPTED = "max_error_ratio", "max_seconds", "on_drift", "interrupted"
NOT_BEGUN = "not_begun"
"""Of a pass whose call ended before its turn."""


@dataclass(frozen=True, slots=True)
class Brakes:
    """`max_error_ratio`: the largest share of inputs that the engine may fail on. `max_rows`: the most distinct inputs
    that are asked. `max_seconds` since the pass began. `on_drift`: what happens where the first chunk's answers are
    spread otherwise than the table's. `max_new_corrections`: the most rows that a pass takes for corrections by people
    because their value is not the record's, None: any number. Raises TableError for values that cannot be."""

    max_error_ratio: float = 1.0
    max_rows: int | None = None
    max_seconds: float | None = None
    on_drift: str = "warn"
    max_new_corrections: int | None = 1000

    def __post_init__(self) -> None:
        if not _is_number(self.max_error_ratio) or not 0 <= self.max_error_ratio <= 1:
            raise TableError(f"max_error_ratio={self.max_error_ratio!r} is not between 0 and 1.")
        if self.max_rows is not None and not (type(self.max_rows) is int and self.max_rows > 0):
            raise TableError(f"max_rows={self.max_rows!r} is not a whole number above 0.")
        if self.max_seconds is not None and not (_is_number(self.max_seconds) and self.max_seconds > 0):
            raise TableError(f"max_seconds={self.max_seconds!r} is not a number above 0.")
        if (most := self.max_new_corrections) is not None and not (type(most) is int and most >= 0):
            raise TableError(f"max_new_corrections={most!r} is not a whole number from 0.")
        if self.on_drift not in ON_DRIFT:
            raise TableError(
                f"on_drift={self.on_drift!r} is not known.", hint=f"Use one of: {', '.join(ON_DRIFT)}."
            )

    def reason_to_stop(self, work: Work, seconds: float) -> str:
        """ "" to go on. The rest of an engine's inputs would fail as well, where it failed on so many."""
        if work.failed > self.max_error_ratio * work.inputs:
            return MAX_ERROR_RATIO
        if self.max_seconds is not None and seconds >= self.max_seconds:
            return MAX_SECONDS
        return ""

    def refusal(self, number: int, table: str, column: str) -> TableError | None:
        """Of a pass, where so many values that no pass wrote are more than people are likely to have given."""
        if self.max_new_corrections is None or number <= self.max_new_corrections:
            return None
        value, label = quote(column), quote(f"{column}_label")
        return TableError(
            f"{number:,} rows of {table} have another {column!r} than its record says: more corrections than "
            f"max_new_corrections={self.max_new_corrections:,} allows, so that a backfill is not taken for people.",
            hint=f"If people gave them: max_new_corrections={number}. If a job did, put the model's values back (rows "
            f"that no pass labelled have none, and keep theirs): UPDATE {table_sql(table)} SET {value} = {label}.value "
            f"WHERE NOT ({value} <=> {label}.value) AND {label}.status IS NOT NULL AND {silent_sql(label)}",
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class FirstInterrupt:
    """Inside, the first Ctrl-C is remembered in `heard`, so that the chunk at hand can be finished; the second one is
    what it always is. Where signals do not reach this thread nothing changes."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.heard, self._say = False, say
        self._before: Any = None

    def __enter__(self) -> "FirstInterrupt":
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _hear(self, number: int, frame: object) -> None:
        if self.heard:
            raise KeyboardInterrupt
        self.heard = True
        self._say("interrupted: this chunk is finished and written first; Ctrl-C again stops at once")
