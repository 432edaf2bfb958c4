"""A thread's Spark jobs under a tag, so that they can be canceled, and those of others are not."""

import time
from collections.abc import Callable
from contextlib import suppress

from pyspark.sql import SparkSession

from sparklabel.delta.errors import session_errors
from sparklabel.delta.session import is_connect, is_gone

_STOPS, _STOP_SECONDS = 8, 0.25


class TaggedJobs:
    """Tags this thread's Spark jobs, so that they can be canceled and those of others are not."""

    def __init__(self, spark: SparkSession, tag: str) -> None:
        self._spark, self._tag = spark, tag
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
        self._ask(self._remove)

    def stop(self) -> None:
        """Cancels the running jobs. Ctrl-C ends only the driver's waiting: the tasks would go on computing and
        keep their slots. PySpark's own handler fails inside a call to the JVM."""
        # Repeated: a query that is being planned, or between two stages, starts its next job after the first one.
        for _ in range(_STOPS):
            if not self._ask(self._stop):
                return
            time.sleep(_STOP_SECONDS)

    def _ask(self, action: Callable[[str], None]) -> bool:
        """Returns False if the session has ended, as SIGTERM of a whole process group ends its JVM: nothing runs."""
        with suppress(*session_errors()):
            if not is_gone(self._spark):
                action(self._tag)
                return True
        return False
