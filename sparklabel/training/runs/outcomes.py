"""What came of a run: noted in the queue, which counts, and in MLflow, which is looked at.

In: a claimed run, and how it ended. Out: its state in both; a line for the user.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING

from sparklabel import registry
from sparklabel.delta.errors import is_death
from sparklabel.errors import SetupError, SparklabelError
from sparklabel.progress import note, tell
from sparklabel.redaction import typed_line
from sparklabel.training.control import EndRequest
from sparklabel.training.runs.execution import record_choice
from sparklabel.training.runs.records import QueuedRun, QueuedRuns, RunState
from sparklabel.training.runs.submission import ClaimedRun

if TYPE_CHECKING:
    from sparklabel.training.runs.claims import WorkerQueue

_CATCH_UP_SECONDS = 5.0
"""For MLflow at each look: runs that have ended must be settled, and others claimed, in between."""
WORKER_ENDS = "its worker was asked to end"
_STATUSES = {
    RunState.WAITING: "SCHEDULED", RunState.RUNNING: "RUNNING", RunState.FAILED: "FAILED",
    RunState.CANCELED: "KILLED", RunState.COMPLETE: "FINISHED",
}  # fmt: skip


class Outcomes:
    """Notes what came of the runs of a queue."""

    def __init__(self, queue: "WorkerQueue") -> None:
        self._queue = queue
        self._not_here: set[str] = set()

    def complete(self, claimed: ClaimedRun, accuracy: float | None) -> bool:
        """A run has come to its end. Returns whether that counts: not if the run was taken over, or deleted. Raises
        SetupError if the queue does not answer."""
        name = claimed.run.name
        if reason := self._queue.complete(claimed, accuracy):
            tell(f"{name} finished, but its result was discarded: {reason}")
        else:
            note(f"{name} is complete" + ("" if accuracy is None else f": accuracy {accuracy:.1%}"))
        self._record(claimed)
        return not reason

    def fail(self, claimed: ClaimedRun, error: BaseException, end: EndRequest) -> None:
        """A run has ended with an error, perhaps because it was asked to. Raises SetupError if the queue does not
        answer."""
        if end.asked and end.reason == WORKER_ENDS:
            self._queue.fail(claimed, end.reason, retry=True, counts=False)
        elif end.asked:  # it was canceled, or taken over
            self._queue.fail(claimed, end.reason, retry=False)
        else:
            self._queue.fail(claimed, _reason(error), retry=_may_succeed(error))
        self._record(claimed)

    def put_back(self, claimed: ClaimedRun, reason: str) -> None:
        """A run could not be begun, for a reason that has nothing to do with it. Raises SetupError if the queue does
        not answer."""
        tell(f"{claimed.run.name} waits again: {reason}")
        self._queue.fail(claimed, reason, retry=True, counts=False)

    def catch_up(self) -> None:
        """Brings MLflow up to date on runs at their end, where the worker that had them did not: it died, or MLflow did
        not answer. What takes longer than a few seconds goes on at the next look. Raises SetupError if the queue does
        not answer."""
        until = time.monotonic() + _CATCH_UP_SECONDS
        ended = [run for run in self._queue.unrecorded() if run.mlflow_run not in self._not_here]
        for submission, own in groupby(ended, key=lambda run: run.submission):
            runs, told = self._queue.runs(submission), list[QueuedRun]()
            try:
                for run in own:
                    if time.monotonic() > until:
                        break
                    if registry.has_run(run.mlflow_run):
                        self._tell(run)
                        told.append(run)
                    else:  # in another store than this worker's, or deleted
                        self._not_here.add(run.mlflow_run)
                if told:
                    self._tell_parent(runs)
            except SetupError:  # MLflow does not answer; it is asked again
                return
            if told:
                self._queue.note_recorded(told)

    def _record(self, claimed: ClaimedRun) -> None:
        """Brings MLflow up to date: a run that waits again is scheduled, one that another worker has is running; the
        parent ends with the last of its runs."""
        with suppress(SetupError):  # the queue has it
            runs = self._queue.runs(claimed.submission.name)
            run: QueuedRun = runs[claimed.run.number - 1]
            if run.state != RunState.COMPLETE:
                tell(str(run))
            self._tell(run)
            self._tell_parent(runs)
            if run.state.is_end:
                self._queue.note_recorded([run])

    def _tell(self, run: QueuedRun) -> None:
        """Tells MLflow where a run is."""
        if run.state == RunState.COMPLETE and run.chosen:
            record_choice(self._queue.submission(run.submission).mlflow_run, run.chosen, run.params)
        if status := _STATUSES.get(run.state):
            registry.set_run_status(run.mlflow_run, status)

    def _tell_parent(self, runs: QueuedRuns) -> None:
        """Tells MLflow where a submission is, by all of its runs."""
        parent = self._queue.submission(runs[0].submission).mlflow_run
        if ended := end_of(runs):
            registry.set_run_status(parent, ended)
        elif all(one.state.is_end or one.state is RunState.WAITING for one in runs):
            registry.set_run_status(parent, "SCHEDULED")


def end_of(runs: Sequence[QueuedRun]) -> str:
    """The status of a submission's own MLflow run when all of its runs are at an end; empty before."""
    states = {run.state for run in runs}
    if not all(state.is_end for state in states):
        return ""
    worst = (RunState.CANCELED, RunState.FAILED, RunState.COMPLETE)
    return _STATUSES[next(state for state in worst if state in states)]


def _reason(error: BaseException) -> str:
    if isinstance(error, SparklabelError):
        return " ".join(filter(None, (error.message, error.hint)))
    return typed_line(error) if isinstance(error, Exception) else type(error).__name__


def _may_succeed(error: BaseException) -> bool:
    """Whether another attempt may: executors or ranks were lost, a store did not answer, a disk is full, something on
    this host is missing."""
    if isinstance(error, SparklabelError):
        return error.retryable or isinstance(error, SetupError)
    return isinstance(error, OSError) or (isinstance(error, Exception) and is_death(error))
