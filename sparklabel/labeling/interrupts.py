"""Ctrl-C during a pass: the first one finishes the chunk, the second one stops at once."""

import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from pyspark.sql import SparkSession


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


_STOPS, _STOP_SECONDS = 8, 0.25


class TaggedJobs:
    """Inside, this thread's Spark jobs carry a tag, by which they can be ended: those of others go on."""

    def __init__(self, spark: SparkSession, tag: str) -> None:
        self._tag = tag
        # A classic session's own tags do not reach a chunk's jobs (PySpark 4.2): those of its context do.
        context = spark if "connect" in type(spark).__module__ else spark.sparkContext
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
        """Ends what runs. Ctrl-C ends the driver's waiting only: the chunk's tasks would compute on, and what follows
        would wait for their slots. PySpark's own handler for it fails inside a call to the JVM."""
        for _ in range(
            _STOPS
        ):  # a query that was being planned, or between two stages, starts its next job after it
            self._stop(self._tag)
            time.sleep(_STOP_SECONDS)
