"""What came of a run: noted in the queue, which counts, and in MLflow, which is looked at.

In: a claimed run, and how it ended. Out: its state in both; a line for the user.
"""

from contextlib import suppress
from typing import TYPE_CHECKING

from sparklabel import registry
from sparklabel.delta.errors import is_death
from sparklabel.errors import SetupError, SparklabelError
from sparklabel.progress import LOG, tell
from sparklabel.redaction import printable_lines, typed_line
from sparklabel.training.control import EndRequest
from sparklabel.training.runs.execution import record_choice
from sparklabel.training.runs.records import QueuedRun, RunKind, RunState, best_of
from sparklabel.training.runs.submission import ClaimedRun

if TYPE_CHECKING:
    from sparklabel.training.runs.queue import RunQueue

WORKER_ENDS = "its worker was asked to end"
_STATUSES = {
    RunState.WAITING: "SCHEDULED", RunState.RUNNING: "RUNNING", RunState.FAILED: "FAILED",
    RunState.CANCELED: "KILLED", RunState.COMPLETE: "FINISHED",
}  # fmt: skip


def note(line: str) -> None:
    """Logs what is good to know and needs nobody to act."""
    LOG.info(printable_lines(line))


class Outcomes:
    """Notes what came of the runs of a queue."""

    def __init__(self, queue: "RunQueue") -> None:
        self._queue = queue

    def complete(self, claimed: ClaimedRun, accuracy: float | None) -> None:
        """A run has come to its end. Raises SetupError if the queue does not answer."""
        name = claimed.run.name
        if self._queue.complete(claimed, accuracy):
            note(f"{name} is complete" + ("" if accuracy is None else f": accuracy {accuracy:.1%}"))
        else:
            tell(f"{name} was taken over by another worker; this result does not count")
        self._record(claimed)

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

    def put_back(self, claimed: ClaimedRun, error: SparklabelError) -> None:
        """A run could not be begun, for a reason that has nothing to do with it."""
        self._queue.fail(claimed, error.message, retry=True, counts=False)
        tell(f"{claimed.run.name} waits again: {error}")

    def _record(self, claimed: ClaimedRun) -> None:
        """Brings MLflow up to date: a run that waits again is scheduled, one that another worker has is running; the
        parent ends with the last of its runs."""
        with suppress(SetupError):  # the queue has it
            runs = self._queue.runs(claimed.submission.name)
            run: QueuedRun = runs[claimed.run.number - 1]
            if run.state != RunState.COMPLETE:
                tell(str(run))
            if status := _STATUSES.get(run.state):
                registry.set_run_status(run.mlflow_run, status)
            if run.kind == RunKind.FINAL and run.state == RunState.COMPLETE:
                record_choice(claimed.submission.mlflow_run, best_of(runs))
            if all(other.state.is_end for other in runs):
                is_whole = all(other.state == RunState.COMPLETE for other in runs)
                registry.set_run_status(claimed.submission.mlflow_run, "FINISHED" if is_whole else "FAILED")


def _reason(error: BaseException) -> str:
    if isinstance(error, SparklabelError):
        return " ".join(filter(None, (error.message, error.hint)))
    return typed_line(error) if isinstance(error, Exception) else type(error).__name__


def _may_succeed(error: BaseException) -> bool:
    """Whether another attempt may: executors or ranks were lost, a store did not answer, something on this host is
    missing."""
    if isinstance(error, SparklabelError):
        return error.retryable or isinstance(error, SetupError)
    return isinstance(error, Exception) and is_death(error)
