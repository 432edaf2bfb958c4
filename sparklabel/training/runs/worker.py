"""The loop of a worker: takes runs off the queue, as many at once as there is room for, until nothing waits.

In: a session, a queue. Out: runs at their end. Each run has a thread of its own, and one thread sends heartbeats for
all; the caller's claims, hears Ctrl-C, and tells. It knows nothing that the queue does not: whenever it is killed,
another worker goes on from the checkpoints.
"""

import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from pyspark.sql import SparkSession
from pyspark.util import inheritable_thread_target

from sparklabel import registry
from sparklabel.delta.session import is_gone
from sparklabel.delta.tagged_jobs import TaggedJobs
from sparklabel.errors import SetupError
from sparklabel.progress import note, tell
from sparklabel.termination import FirstInterrupt, sigterm_exits
from sparklabel.training.control import RunControl
from sparklabel.training.runs.active_run import ActiveRun, heartbeats
from sparklabel.training.runs.capacity import MAX_AT_ONCE, Admission, Capacity
from sparklabel.training.runs.outcomes import WORKER_ENDS, Outcomes
from sparklabel.training.runs.records import QueuedRuns
from sparklabel.training.runs.submission import ClaimedRun, Submission

if TYPE_CHECKING:
    from sparklabel.training.runs.claims import WorkerQueue

_LOOK_SECONDS, _POLL_SECONDS, _TELL_SECONDS = 0.5, 5.0, 60.0
_STORE_SECONDS = 20.0
_NO_RUN = (
    "MLflow has no run of this submission here: it was deleted, or MLFLOW_TRACKING_URI is another than where it was "
    "submitted. This worker leaves the submission to others."
)
_SILENCE_SECONDS = 600.0
"""How long a worker without a run goes on to ask a queue that does not answer."""

Execute = Callable[[ClaimedRun, RunControl], float | None]
"""Does what a run is for; `execution.execute` with a session."""


class Worker:
    """One worker.

    Args:
        queue: Whose runs it takes.
        execute: What it does for each.
        capacity: How many it can have at once.
        keep_waiting: As in `work`.
        spark: The session whose jobs a run's end cancels; None if runs need none.
    """

    def __init__(
        self,
        queue: "WorkerQueue",
        execute: Execute,
        capacity: Capacity,
        *,
        keep_waiting: bool = False,
        spark: SparkSession | None = None,
    ) -> None:
        self._queue, self._execute, self._capacity = queue, execute, capacity
        self._keep_waiting, self._spark = keep_waiting, spark
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._outcomes = Outcomes(queue)
        self._active: list[ActiveRun] = []
        self._not_ours: set[str] = set()
        self._worked: dict[str, None] = {}
        self._looked = -_POLL_SECONDS
        self._is_told, self._silent_since, self._caught_up = False, 0.0, -_TELL_SECONDS

    def run(self) -> QueuedRuns:
        """Works until nothing waits, or the first Ctrl-C."""
        with (
            sigterm_exits(),
            FirstInterrupt(self._say, "the current step of each run", "finishing") as interrupt,
            heartbeats(self._queue, self._active),
        ):
            try:
                with ThreadPoolExecutor(MAX_AT_ONCE, "sparklabel-run") as pool:
                    self._loop(pool, interrupt)
            except KeyboardInterrupt:
                self._put_back()
                raise interrupt.exit from None
            except BaseException:
                self._put_back()
                raise
        if interrupt.heard:
            raise interrupt.exit
        worked = (run for run in self._queue.runs() if run.name in self._worked)
        return QueuedRuns(worked, self._queue.address)

    def _loop(self, pool: ThreadPoolExecutor, interrupt: FirstInterrupt) -> None:
        try:
            while self._go_on(pool, interrupt.heard):
                if self._active:
                    wait([one.result for one in self._active], _LOOK_SECONDS, "FIRST_COMPLETED")
                else:
                    time.sleep(_LOOK_SECONDS)
        except BaseException:
            # The pool waits for the runs' threads, and heartbeats go on meanwhile: they stay ours.
            self._end_all(WORKER_ENDS)
            for one in self._active:
                one.stop_jobs()
            raise

    def _put_back(self) -> None:
        """Hands over what had to end with the worker."""
        for one in self._active:
            if one.result.done():
                one.control.end.ask(WORKER_ENDS)
                self._settled(one)

    def _go_on(self, pool: ThreadPoolExecutor, is_ending: bool) -> bool:
        """One look at everything. False when there is nothing left to do."""
        for one in [one for one in self._active if one.result.done()]:
            if self._settled(one):
                self._active.remove(one)
                self._looked = -_POLL_SECONDS  # there is room again
        for one in self._active:
            one.tell_or_end()
        if is_ending:
            self._end_all(WORKER_ENDS)
            return bool(self._active)
        if time.monotonic() - self._looked < _POLL_SECONDS:
            return True
        self._looked = time.monotonic()
        if not self._is_alive():
            raise SetupError(
                "The Spark session has ended; what this worker had waits again.", hint="Start a worker anew."
            )
        try:
            for one in self._active:  # none of ours must count as dead after an outage, or a laptop's night
                one.beat(self._queue)
            while (claimed := self._queue.claim(self._admits, self._name)) and self._begin(claimed, pool):
                pass
            self._silent_since = 0.0
            if self._looked - self._caught_up >= _TELL_SECONDS:
                self._caught_up = self._looked
                self._outcomes.catch_up()
            return bool(self._active) or self._waits_for_others()
        except SetupError as error:  # the queue does not answer: those under way go on
            self._silent_since = self._silent_since or time.monotonic()
            if not self._active and time.monotonic() - self._silent_since > _SILENCE_SECONDS:
                raise
            self._looked += self._queue.beat_seconds  # the heartbeats first, if they can
            tell(str(error))
            return True

    def _admits(self, submission: Submission) -> Admission:
        if submission.name in self._not_ours:
            return Admission.SKIP
        return self._capacity.admits(submission, [one.claimed.submission for one in self._active])

    def _waits_for_others(self) -> bool:
        """Whether this worker, which has no run, stays: for one that waits for others, as a search's final one does."""
        waiting = [one for one in self._queue.waiting() if one.name not in self._not_ours]
        too_large = [one for one in waiting if self._capacity.admits(one, []) is Admission.SKIP]
        if too_large and not self._is_told:
            self._is_told = True
            tell(
                f"runs of {too_large[0].name} need {too_large[0].processes} slots, and this cluster has "
                f"{self._capacity.slots(too_large[0])}: this worker skips them"
            )
        if len(waiting) > len(too_large):
            return True
        return self._keep_waiting and any(not run.state.is_end for run in self._queue.runs())

    def _begin(self, claimed: ClaimedRun, pool: ThreadPoolExecutor) -> bool:
        """False if it could not be begun, and nothing else could."""
        submission, run = claimed.submission, claimed.run
        self._worked[run.name] = None
        try:
            if not registry.has_run(submission.mlflow_run):
                self._not_ours.add(submission.name)
                self._outcomes.put_back(claimed, _NO_RUN)
                return True
            registry.set_run_status(submission.mlflow_run, "RUNNING")
        except SetupError as error:
            self._outcomes.put_back(claimed, str(error))
            self._looked += _STORE_SECONDS
            return False
        control = RunControl(progress=False, run_id=run.mlflow_run)
        control.confirm = lambda: one.beat(self._queue)
        jobs = TaggedJobs(self._spark, f"sparklabel-{run.name}") if self._spark else None

        def follow() -> float | None:
            if jobs is None:
                return self._execute(claimed, control)
            with jobs:
                return self._execute(claimed, control)

        target = inheritable_thread_target(self._spark)(follow) if self._spark else follow
        attempt = f", attempt {run.attempts}" if run.attempts > 1 else ""
        settings = f" ({run.settings})" if run.params else ""
        note(f"{run.name} begins{attempt}{settings}")
        one = ActiveRun(claimed, control, jobs)
        control.at_the_end = one.removals.append
        self._active.append(one)
        one.result = pool.submit(target)
        return True

    def _settled(self, one: ActiveRun) -> bool:
        """Notes what came of a run; False if the queue does not answer, and it must be tried again."""
        error = one.result.exception()
        try:
            if error is None:
                if self._outcomes.complete(one.claimed, one.result.result()):
                    one.remove_files()
            else:
                if not self._is_alive():  # whatever the error says: the run is not to blame
                    one.control.end.ask(WORKER_ENDS)
                self._outcomes.fail(one.claimed, error, one.control.end)
        except SetupError as silence:
            one.tell_now_and_then(f"it is at its end, which the queue does not know yet. {silence}")
            time.sleep(_LOOK_SECONDS)
            return False
        return True

    def _is_alive(self) -> bool:
        return self._spark is None or not is_gone(self._spark)

    def _end_all(self, reason: str) -> None:
        for one in self._active:
            one.control.end.ask(reason)

    def _say(self, line: str) -> None:
        self._end_all(WORKER_ENDS)
        tell(line)
