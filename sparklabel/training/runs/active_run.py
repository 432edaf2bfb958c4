"""A run that a worker has: its thread, its heartbeats, how it is told of and ended.

In: a claimed run, the thread that trains it. Out: heartbeats in the queue, lines for the user, an end when asked.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sparklabel.delta.tagged_jobs import TaggedJobs
from sparklabel.errors import SetupError
from sparklabel.progress import note, tell
from sparklabel.training.control import RunControl
from sparklabel.training.runs.submission import ClaimedRun

if TYPE_CHECKING:
    from sparklabel.training.runs.claims import WorkerQueue

_LOOK_SECONDS, _TELL_SECONDS, _PATIENCE = 0.5, 60.0, 20.0


@dataclass(slots=True)
class ActiveRun:
    """A run that this worker has. `result` is that of its thread, `jobs` are its Spark jobs; `removals` are called when
    the queue has its result."""

    claimed: ClaimedRun
    control: RunControl
    jobs: TaggedJobs | None
    result: "Future[float | None]" = field(default_factory=Future)
    removals: list[Callable[[], None]] = field(default_factory=list)
    last_beat: float = 0.0
    told: float = field(default_factory=time.monotonic)
    ending: float = 0.0

    def beat(self, queue: "WorkerQueue") -> None:
        """A heartbeat, whose answer may be that the run must end. Raises SetupError if the queue does not answer."""
        step = self.control.step
        if reason := queue.beat(self.claimed, *((step.step, step.steps) if step else (0, 0))):
            self.control.end.ask(reason)
        self.last_beat = time.monotonic()

    def tell_or_end(self) -> None:
        """Tells once a minute how far it is. Where it must end and does not, cancels its Spark jobs."""
        now, step = time.monotonic(), self.control.step
        if step and now - self.told >= _TELL_SECONDS:
            self.told = now
            note(f"{self.claimed.run.name}: step {step.step} of {step.steps}, loss {step.loss:.3f}")
        if self.control.end.asked:
            self.ending = self.ending or now
            if now - self.ending > _PATIENCE:  # it is in a long query, or waits for slots
                self.ending = now
                self.stop_jobs()

    def tell_now_and_then(self, line: str) -> None:
        """Warns, once a minute."""
        if time.monotonic() - self.told >= _TELL_SECONDS:
            self.told = time.monotonic()
            tell(f"{self.claimed.run.name}: {line}")

    def remove_files(self) -> None:
        """Removes what was kept for another attempt."""
        for remove in self.removals:
            with suppress(OSError):
                remove()

    def stop_jobs(self) -> None:
        if self.jobs:
            self.jobs.stop()


@contextmanager
def heartbeats(queue: "WorkerQueue", runs: Sequence[ActiveRun]) -> Iterator[None]:
    """Sends heartbeats for `runs`, which may change, inside the block, in a thread: whatever the caller waits for."""
    ended = threading.Event()

    def send() -> None:
        while not ended.wait(min(_LOOK_SECONDS, queue.beat_seconds)):
            for one in list(runs):
                if time.monotonic() - one.last_beat < queue.beat_seconds or one.result.done():
                    continue
                try:
                    one.beat(queue)
                except SetupError as error:
                    # The next one may arrive; if none does, another worker takes over.
                    one.tell_now_and_then(f"no heartbeat could be sent. {error.message}")

    thread = threading.Thread(target=send, name="sparklabel-heartbeats", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
