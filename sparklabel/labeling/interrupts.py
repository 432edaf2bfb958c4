"""Ctrl-C and SIGTERM during a pass: the first one finishes the chunk, the second one stops at once."""

import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from pyspark.sql import SparkSession

from sparklabel.delta.session import is_connect
from sparklabel.termination import sigterm_waits

_GRACE_SECONDS = 10.0
"""How long a chunk may go on after SIGTERM. Kubernetes kills 30 seconds after it, and a MERGE comes first."""


class FirstInterrupt:
    """Remembers the first Ctrl-C in `heard`, so that the current chunk can be finished; the second one raises
    KeyboardInterrupt as usual. SIGTERM is heard too, and the chunk then has a few seconds. Does nothing in threads that
    get no signals."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.heard, self._say = False, say
        self._before: Any = None
        self._waiting = sigterm_waits(self._terminate)
        self._grace = threading.Timer(_GRACE_SECONDS, self._hurry)
        self._grace.daemon = True

    def __enter__(self) -> "FirstInterrupt":
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._hear)
        self._waiting.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._grace.cancel()
        self._waiting.__exit__(*error)
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _terminate(self) -> None:
        self.heard = True
        self._say(f"terminated: the current chunk has {_GRACE_SECONDS:.0f} s; what is answered is written")
        self._grace.start()

    def _hurry(self) -> None:
        # To the main thread, which waits in a call to the JVM.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def _hear(self, number: int, frame: object) -> None:
        if self.heard:
            raise KeyboardInterrupt
        self.heard = True
        self._say("interrupted: finishing and writing the current chunk; press Ctrl-C again to stop at once")


_STOPS, _STOP_SECONDS = 8, 0.25


class TaggedJobs:
    """Tags this thread's Spark jobs, so that they can be canceled and those of others are not."""

    def __init__(self, spark: SparkSession, tag: str) -> None:
        self._tag = tag
        # A classic session's own tags do not reach a chunk's jobs (PySpark 4.2): those of its context do.
        context = spark if is_connect(spark) else spark.sparkContext
        add, remove, stop = (
            ("addTag", "removeTag", "interruptTag")
            if context is spark
            else ("addJobTag", "removeJobTag", "cancelJobsWithTag")
        )
        self._add, self._remove, self._stop = (getattr(context, name) for name in (add, remove, stop))

    def __enter__(self) -> "TaggedJobs":
        self._add(self._tag)
        return self

    def __exit__(self, *_: object) -> None:
        self._remove(self._tag)

    def stop(self) -> None:
        """Cancels the running jobs. Ctrl-C ends only the driver's waiting: the chunk's tasks would go on computing and
        keep their slots. PySpark's own handler fails inside a call to the JVM."""
        # Repeated: a query that is being planned, or between two stages, starts its next job after the first one.
        for _ in range(_STOPS):
            self._stop(self._tag)
            time.sleep(_STOP_SECONDS)
