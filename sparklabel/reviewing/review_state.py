"""The server's state: the tasks that are reviewed, the journal, the way into the table, who is here.

In: a call, its journal, a table's side. Out: answers to what the pages and the API ask. It belongs to the server's
thread; nothing in it blocks that, and it knows no HTTP.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sparklabel.errors import SparklabelError
from sparklabel.intervals import wilson_interval
from sparklabel.reviewing.asking.oversight import standing_inputs, undo_events
from sparklabel.reviewing.asking.queue import ReviewQueue
from sparklabel.reviewing.asking.row_filters import why_no_rows
from sparklabel.reviewing.asking.session import Outcome, TaskSession
from sparklabel.reviewing.asking.suggestions import places_of
from sparklabel.reviewing.journal import Journal
from sparklabel.reviewing.people import Person
from sparklabel.reviewing.probe.kept_states import tell_kept_states
from sparklabel.reviewing.probe.scores import Scores
from sparklabel.reviewing.records import Event
from sparklabel.reviewing.requests import EventsIn, NextIn
from sparklabel.reviewing.review_call import ReviewCall
from sparklabel.reviewing.table.changes import overtaken_rows
from sparklabel.reviewing.table.sides import ProbeSide, TableSide
from sparklabel.reviewing.table.sync import TableSync
from sparklabel.tasks import Task

if TYPE_CHECKING:
    from sparklabel.reviewing.insight.quality import JudgedLabel

HERE_SECONDS = 120.0
"""Who sent something so recently is here."""
_MOST_UNKNOWN, _PATIENCE = 200, 30.0
MakeProbe = Callable[[Task, Callable[[Scores], None]], ProbeSide]
STARTING = "The table is being opened."


@dataclass(frozen=True, slots=True)
class NotReady(Exception):
    """Rows are not there yet, or no longer: `why`. What was sent can be sent again."""

    why: str


class ReviewState:
    """Everything that is reviewed.

    Args:
        call: What was asked for.
        journal: Open.
        clock: Seconds, never set back.
        now: The time that answers are stamped with.
    """

    def __init__(
        self,
        call: ReviewCall,
        journal: Journal,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.call, self.journal, self.clock, self._now = call, journal, clock, now
        self.tasks = {task.name: task for task in call.tasks}
        self.sessions: dict[str, TaskSession] = {}
        self.syncs: dict[str, TableSync] = {}
        self.probes: dict[str, ProbeSide] = {}
        self.closers: list[Callable[[], None]] = []
        self.loading: str | None = STARTING
        self.is_closing, self.is_closed, self.started = False, False, clock()
        self._table: TableSide | None = None
        self._here: dict[str, float] = {}
        self._feeding: list[asyncio.Task[None]] = []
        self._early: dict[str, list[tuple[Mapping[str, str], Mapping[str, Any]]]] = {}

    async def open(self, table: TableSide, make_probe: MakeProbe | None = None) -> None:
        """Checks the table, writes what an earlier server had not, and loads the rows. Raises what the table's side
        raises."""
        self._table = table
        await asyncio.wrap_future(table.check())
        for task in self.tasks.values():
            await self._open_task(task, table, make_probe)
        self.loading = None

    async def say(self, line: str) -> None:
        """Takes a line about what is waited for."""
        if self.loading is not None:
            self.loading = f"{line.rstrip('.')}."

    def session(self, task: str) -> TaskSession:
        """A task's session. Raises KeyError if there is no such task, and NotReady."""
        if task not in self.tasks:
            raise KeyError(task)
        if task not in self.sessions:
            raise NotReady(self.loading or STARTING)
        return self.sessions[task]

    def touch(self, person: Person) -> None:
        """Notes that the person is here."""
        self._here[person.name] = self.clock()

    def people_here(self) -> list[str]:
        """Who is here, by name."""
        return [name for name, seen in self._here.items() if self.clock() - seen < HERE_SECONDS]

    def known_people(self) -> list[str]:
        """Everybody who is or was here."""
        found = [name for session in self.sessions.values() for name in session.history.people]
        return sorted({*found, *self._here})

    def next(self, task: str, person: Person, wanted: NextIn) -> tuple[list[Any], str | None]:
        """Rows for a person, and a note about them. Once the server is being stopped there are none."""
        session = self.session(task)
        if self.is_closing:
            return [], "The review is being ended: no more rows are given out. What was answered is saved."
        rows, note = session.next(person, wanted, self.clock())
        if note or rows or wanted.count == 0 or wanted.have:
            return rows, note
        return rows, why_no_rows(session.queue.waiting(person.name), session.history.answered)

    async def accept(self, task: str, given: EventsIn, person: Person) -> list[Outcome]:
        """Keeps events, and says of each what became of it, once it is on disk. Raises NotReady, and SetupError if the
        journal cannot be written."""
        session = self.session(task)
        await self._find(task, session.missing(one.id for one in given.events))
        checked = session.check(given.events, person, self.stamp())
        events = [one for one in checked if isinstance(one, Event)]
        numbers = await self._numbers(events)
        kept = iter([replace(event, seq=seq) for event, seq in zip(events, numbers, strict=True)])
        found = [self._take(task, next(kept)) if isinstance(one, Event) else one for one in checked]
        session.queue.renew(person.name, given.have, self.clock())
        return found

    async def undo_person(self, task: str, name: str, lead: Person) -> int:
        """Takes back a person's answers and decisions, but for what they say meanwhile; how many. Raises SetupError if
        the journal cannot be written."""
        session = self.session(task)
        until = session.history.last_seq
        await self._find(task, session.missing(standing_inputs(session, name)), is_needed=False)
        return await self.keep(task, undo_events(session, name, lead, self.stamp(), until))

    async def keep(self, task: str, events: list[Event]) -> int:
        """Keeps events that the server made; how many. Raises SetupError if the journal cannot be written."""
        for event, seq in zip(events, await self._numbers(events), strict=True):
            self._take(task, replace(event, seq=seq))
        return len(events)

    def stamp(self) -> str:
        """Now, as events have it."""
        return self._now().isoformat(timespec="microseconds")

    async def mine(self, task: str, person: Person, before: int | None, count: int) -> list[Event]:
        """The person's last answers, newest first, whose rows are known then if the table has them."""
        session = self.session(task)
        events = session.history.mine(person.name, count, before)
        await self._find(task, session.missing(event.input_hash for event in events), is_needed=False)
        return events

    def progress(self, task: str, person: Person) -> dict[str, Any]:
        """How far the review is, as the API tells it."""
        session, sync = self.session(task), self.syncs[task]
        right, n = session.accuracy()
        low, high = wilson_interval(right, n) if n else (0.0, 0.0)
        return {
            "mine": session.history.standing(person.name), "all": session.history.answered, "goal": self.call.goal,
            "audited": session.queue.audited,
            "accuracy": {"right": right, "n": n, "low": low, "high": high} if n else None,
            "in_table_age_s": round(sync.age, 1), "waiting_to_save": sync.waiting, "table_error": sync.error,
            "people": len(self.people_here()),
        }  # fmt: skip

    async def judged(self, task: str) -> "tuple[list[JudgedLabel], list[Event]]":
        """What the table knows of people's answers beside the model's, and all events of the answers table. Raises
        NotReady, and what the table's side raises."""
        self.session(task)
        assert self._table is not None
        judged = await asyncio.wrap_future(self._table.judged(task))
        return judged, await asyncio.wrap_future(self._table.past(task))

    async def keep_synced(self, pause: float = 1.0) -> None:
        """Brings answers into the table for ever."""
        while True:
            await asyncio.sleep(pause)
            await self.sync_once()

    async def sync_once(self) -> None:
        """Brings those answers into the table that are due."""
        is_anybody_here = bool(self.people_here())
        for sync in self.syncs.values():
            await sync.step(is_anybody_here)

    async def flush(self) -> None:
        """Brings all answers into the table. Raises what the table's side raises."""
        for sync in self.syncs.values():
            await sync.flush()

    async def flush_if_possible(self) -> None:
        """The same, at the end: what cannot be written is told by the syncs, and stays in the journal. What people do
        meanwhile is taken and flushed, too; then nothing is. The table does one thing at a time: nothing else."""
        for feeding in self._feeding:
            feeding.cancel()
        for sync in self.syncs.values():
            await sync.try_to(sync.flush)
        self.is_closed = True
        await self._numbers([])  # behind everything that was taken
        for sync in self.syncs.values():
            await sync.try_to(sync.flush)

    async def _numbers(self, events: list[Event]) -> list[int]:
        """The events' numbers, once they are on disk. After the last flush nothing is taken: it must be the last."""
        if self.is_closed and events:
            raise SparklabelError("The review has ended.", hint="What you did is kept in your browser.")
        return await asyncio.wrap_future(self.journal.submit(events))

    def _take(self, task: str, event: Event) -> Outcome:
        """Takes an event that is on disk, once."""
        session = self.sessions[task]
        if session.history.author(event.event_id) is None:
            self.syncs[task].note([event])
        return session.apply(event)

    async def _open_task(self, task: Task, table: TableSide, make_probe: MakeProbe | None) -> None:
        name, journal = task.name, self.journal
        sync = TableSync(
            name, table, self.call.flush_every, self._on_moved(name), self._note_merged, self.clock
        )
        events = await asyncio.to_thread(lambda: list(journal.events(task=name)))
        merged = await asyncio.to_thread(journal.merged, name)
        sync.note([event for event in events if event.seq > merged])
        self.loading = f"Rows of {name} are being loaded."
        await sync.try_to(sync.flush)  # first, or rows that are answered would be loaded
        rows = await asyncio.wrap_future(table.load(name, self.call.rows, self.call.where))
        known = {row.input_hash for row in rows}
        before = {event.input_hash: None for event in events if event.input_hash not in known}
        answered = await asyncio.wrap_future(table.current(name, list(before))) if before else {}
        probe = make_probe(task, self._on_scores(name)) if make_probe else None
        queue = ReviewQueue(
            rows, audit_share=self.call.audit_share, judges=self.call.judges, overlap=self.call.overlap
        )
        session = TaskSession(task, rows, queue, probe)
        session.know(answered.values())
        session.replay(events)
        refused = {one: answered[one] for one in journal.refused(name) if one in answered}
        told = await overtaken_rows(table, task, events, refused)
        for moved, current in [*self._early.pop(name, []), told]:
            session.note_moved(moved, current)
        if probe:
            self.probes[name] = probe
            session.tell_all()
            self._feeding.append(asyncio.create_task(tell_kept_states(table, probe, name, session.learnable)))
        self.sessions[name], self.syncs[name] = session, sync

    async def _find(self, task: str, missing: Sequence[str], is_needed: bool = True) -> None:
        """Asks the table for rows that are not loaded. Raises NotReady if it does not answer, and they are needed."""
        if not missing or self._table is None:
            return
        try:
            asked = asyncio.wrap_future(self._table.current(task, list(missing)[:_MOST_UNKNOWN]))
            found: Mapping[str, Any] = await asyncio.wait_for(asked, _PATIENCE)
        except Exception as error:  # noqa: BLE001 the table is away: the browser keeps its events, and sends them again
            if is_needed:
                raise NotReady(f"The table does not answer: {error}") from None
            return
        self.session(task).know(found.values())

    def _on_moved(self, task: str) -> Callable[[Mapping[str, str], Mapping[str, Any]], None]:
        def take(moved: Mapping[str, str], current: Mapping[str, Any]) -> None:
            if session := self.sessions.get(task):
                session.note_moved(moved, current)
            else:  # what an earlier server left was written before there is a session
                self._early.setdefault(task, []).append((moved, current))

        return take

    def _on_scores(self, task: str) -> Callable[[Scores], None]:
        """A callback for the probe's thread: what takes long is done there, and the rest in the server's."""
        loop = asyncio.get_running_loop()
        known: tuple[Sequence[str] | None, dict[str, int]] = (None, {})

        def take(scores: Scores) -> None:
            nonlocal known
            if scores.hashes is not known[0]:
                known = (scores.hashes, places_of(scores.hashes or ()))
            with suppress(RuntimeError):  # the server has ended meanwhile
                loop.call_soon_threadsafe(self._take_scores, task, scores, known[1], scores.queue())

        return take

    def _take_scores(self, task: str, scores: Scores, places: dict[str, int], order: Sequence[str]) -> None:
        if session := self.sessions.get(task):
            session.take_scores(scores, places, order)

    async def _note_merged(self, *merged: Any) -> None:
        await asyncio.to_thread(self.journal.note_merged, *merged)
