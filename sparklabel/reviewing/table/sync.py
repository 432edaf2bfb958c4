"""When and how answers go from the journal to the table: appended soon, merged seldom.

In: events that are on disk. Out: calls of the table's side, and how late the table is. An error is kept to be told, and
tried again after a growing pause; nothing is lost by it, as the journal has everything. It belongs to the server's
thread, and waits only for futures.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

from sparklabel.errors import SparklabelError
from sparklabel.redaction import first_line
from sparklabel.reviewing.records import FLAG, Event, ReviewRow
from sparklabel.reviewing.table.changes import answered_by_others
from sparklabel.reviewing.table.sides import TableSide

APPEND_SECONDS, APPEND_EVENTS = 10.0, 200
MERGE_EVENTS = 500
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 300.0
NoteMerged = Callable[[str, int, Sequence[str], Sequence[str]], Awaitable[None]]
OnMoved = Callable[[Mapping[str, str], Mapping[str, ReviewRow]], None]


class TableSync:
    """One task's way into the table.

    Args:
        task: Its name.
        table: The table's side.
        flush_every: Seconds between two merges.
        on_moved: Told what a merge did not write, and the rows as they are.
        note_merged: Told the number of the newest event that labels agree with, the inputs that were merged, and those
            to which the table has another person's answer.
        clock: Seconds, never set back.
    """

    def __init__(
        self,
        task: str,
        table: TableSide,
        flush_every: float,
        on_moved: OnMoved,
        note_merged: NoteMerged,
        clock: Callable[[], float],
    ) -> None:
        self._task, self._table, self._every = task, table, flush_every
        self._on_moved, self._note_merged, self._clock = on_moved, note_merged, clock
        self._waiting: list[Event] = []
        self._appended_to = 0
        self._unmerged: dict[str, int] = {}
        self._oldest: float | None = None
        self._oldest_waiting = self._merged_at = clock()
        self._pause, self._not_before = 0.0, 0.0
        self._lock = asyncio.Lock()
        self._not_written: dict[str, str] = {}
        """The inputs whose last answer the table did not take, and why."""
        self.error: str | None = None

    @property
    def waiting(self) -> int:
        """How many events are not in the answers table."""
        return len(self._waiting)

    @property
    def unmerged(self) -> int:
        """How many inputs have an answer that their label does not have."""
        return len(self._unmerged)

    @property
    def not_written(self) -> Counter[str]:
        """Of how many inputs the label does not have the last answer, by why the merges did not write it."""
        return Counter(self._not_written.values())

    @property
    def age(self) -> float:
        """For how many seconds the oldest answer has waited for its label; 0 if none waits."""
        return 0.0 if self._oldest is None else self._clock() - self._oldest

    def note(self, events: Sequence[Event]) -> None:
        """Takes events that are on disk."""
        now = self._clock()
        if events and not self._waiting:
            self._oldest_waiting = now
        self._waiting += events
        for event in events:
            if event.kind != FLAG:
                self._unmerged[event.input_hash] = event.seq
                self._oldest = now if self._oldest is None else self._oldest

    async def step(self, is_anybody_here: bool) -> None:
        """Does what is due. An error is kept, and told by `error`."""
        now = self._clock()
        if now < self._not_before or self._lock.locked():
            return
        if self._is_merge_due(now, is_anybody_here):
            await self.try_to(self.flush)
        elif self._is_append_due(now):
            await self.try_to(self._append_alone)

    async def try_to(self, work: Callable[[], Awaitable[None]]) -> None:
        """Does it. An error is kept, and nothing is done for a while."""
        try:
            await work()
        except Exception as error:  # noqa: BLE001 whatever the table's side says, answers are safe, and it is tried again
            self.error = error.message if isinstance(error, SparklabelError) else first_line(error)
            self._pause = min(max(2 * self._pause, _FIRST_PAUSE), _LONGEST_PAUSE)
            self._not_before = self._clock() + self._pause

    async def flush(self) -> None:
        """Appends and merges everything that has come so far. Raises what the table's side raises."""
        async with self._lock:
            await self._append()
            await self._merge()

    async def _append_alone(self) -> None:
        async with self._lock:
            await self._append()

    def _is_append_due(self, now: float) -> bool:
        return bool(self._waiting) and (
            self.waiting >= APPEND_EVENTS or now - self._oldest_waiting >= APPEND_SECONDS
        )

    def _is_merge_due(self, now: float, is_anybody_here: bool) -> bool:
        return bool(self._unmerged) and (
            now - self._merged_at >= self._every or len(self._unmerged) >= MERGE_EVENTS or not is_anybody_here
        )

    async def _append(self) -> None:
        # Those that come meanwhile are left for the next time: while people answer, there is no end of them.
        until = self._waiting[-1].seq if self._waiting else 0
        while batch := [one for one in self._waiting[: 20 * APPEND_EVENTS] if one.seq <= until]:
            there = await asyncio.wrap_future(self._table.append(self._task, batch))
            last = max(there, batch[-1].seq)
            self._appended_to = max(self._appended_to, last)
            self._waiting = [event for event in self._waiting if event.seq > last]
            self._oldest_waiting = self._clock()
        self._succeeded()

    async def _merge(self) -> None:
        merging = {name: seq for name, seq in self._unmerged.items() if seq <= self._appended_to}
        if not merging:
            return
        found = await asyncio.wrap_future(self._table.merge(self._task, list(merging)))
        self._merged_at = self._clock()
        self._not_written = {name: why for name, why in self._not_written.items() if name not in merging}
        self._not_written |= found.moved
        if found.moved:
            current = await asyncio.wrap_future(self._table.current(self._task, list(found.moved)))
            self._on_moved(found.moved, current)
        refused = answered_by_others(found.moved)
        await self._note_merged(self._task, max(merging.values()), list(merging), refused)
        self._unmerged = {name: seq for name, seq in self._unmerged.items() if merging.get(name) != seq}
        self._oldest = self._merged_at if self._unmerged else None
        self._succeeded()

    def _succeeded(self) -> None:
        self.error, self._pause, self._not_before = None, 0.0, 0.0
