"""Jobs under a tag, of a session that ends meanwhile."""

from types import SimpleNamespace

import pytest
from py4j.protocol import Py4JNetworkError

from sparklabel.delta.tagged_jobs import TaggedJobs


class EndingContext:
    """Answers until its JVM has ended, as PySpark's does."""

    has_ended = False

    @property
    def _jsc(self):
        if self.has_ended:
            raise Py4JNetworkError("An error occurred while trying to connect to the Java server")
        return SimpleNamespace(sc=lambda: SimpleNamespace(isStopped=lambda: False))

    def addJobTag(self, tag):
        assert self._jsc

    removeJobTag = cancelJobsWithTag = addJobTag


def stopped(context):
    session = SimpleNamespace(version="4.2.0", sparkContext=context)
    with TaggedJobs(session, "one-pass") as jobs:
        context.has_ended = True
        jobs.stop()
        raise KeyboardInterrupt


def test_the_session_s_end_does_not_hide_why_the_block_was_left():
    with pytest.raises(KeyboardInterrupt):
        stopped(EndingContext())
