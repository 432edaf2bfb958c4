"""What the queue says of a run, as a record and as a table to print."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from sparklabel.errors import AnswersError
from sparklabel.redaction import printable

DEAD = "its worker died"
"""The reason of a run whose worker has not said one."""
CANCELED = "it was canceled"
CANCELING = "it is being canceled"
"""The same, before its worker has heard of it."""


class RunState(StrEnum):
    """Where a run is. `LOST` runs have given no heartbeat for too long: the next worker that looks takes them over."""

    WAITING = "waiting"
    RUNNING = "running"
    LOST = "lost"
    COMPLETE = "complete"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def is_end(self) -> bool:
        return self is RunState.COMPLETE or self.may_be_retried

    @property
    def may_be_retried(self) -> bool:
        """Whether `retry_run` begins it once more."""
        return self in (RunState.FAILED, RunState.CANCELED)


class RunKind(StrEnum):
    """What a run is for: `RUN` is one training with its gate; of a search, each `CANDIDATE` is judged on a part of the
    training answers, and `FINAL` trains the best one on all and meets the gate."""

    RUN = "run"
    CANDIDATE = "candidate"
    FINAL = "final"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedRun:
    """A run of the queue.

    Attributes:
        submission: The name it was submitted under.
        number: Its number there, from 1.
        kind: What it is for.
        state: Where it is.
        priority: Higher ones come first.
        params: What a search varies, with this run's values; empty until TPE has drawn them.
        attempts: How often a worker has begun it.
        accuracy: On the validation answers for a candidate, on the held-out ones otherwise; None until it is complete,
            or if there was nothing to judge on.
        step: Optimizer steps so far, as of the worker's last heartbeat.
        steps: Of how many; 0 before the first.
        silence: Seconds since its worker's last heartbeat, by the database's clock, if it runs or is lost.
        reason: Why it failed, waits again, or will end.
        worker: Who has it, or had it last: host and process.
        chosen: The candidate whose settings a final run trains with.
        mlflow_run: Its MLflow run.
        submitted_at: When it was submitted, in UTC, as ISO 8601.
    """

    submission: str
    number: int
    kind: RunKind
    state: RunState
    priority: int
    params: Mapping[str, Any] = field(default_factory=dict)
    attempts: int = 0
    accuracy: float | None = None
    step: int = 0
    steps: int = 0
    silence: float | None = None
    reason: str = ""
    worker: str = ""
    chosen: str = ""
    mlflow_run: str = ""
    submitted_at: str = ""

    @property
    def name(self) -> str:
        """What `cancel_run` and `retry_run` call it: `intent-1/3`."""
        return f"{self.submission}/{self.number}"

    @property
    def settings(self) -> str:
        """The parameters as one line."""
        return ", ".join(f"{name}={value}" for name, value in self.params.items())

    @property
    def heartbeat(self) -> str:
        """When its worker gave its last sign, in words; empty if none has it."""
        if self.silence is None:
            return ""
        return f"{self.silence:.0f} s ago" if self.silence < 120 else f"{self.silence / 60:,.0f} min ago"

    @property
    def details(self) -> str:
        """All that is known of it, a line each."""
        shown = {field.name: getattr(self, field.name) for field in fields(self)}
        shown |= {"params": self.settings, "silence": self.heartbeat}
        lines = [
            f"{_TITLES.get(name, name.replace('_', ' ')):<16}{printable(value)}"
            for name, value in shown.items()
            if value not in ("", None)
        ]
        return "\n".join(lines)

    def __str__(self) -> str:
        progress = (
            f"step {self.step} of {self.steps}" if self.state == RunState.RUNNING and self.steps else ""
        )
        accuracy = "" if self.accuracy is None else f"accuracy {self.accuracy:.1%}"
        attempts = f"attempt {self.attempts}" if self.attempts > 1 else ""
        parts = (self.settings, self.state, progress, accuracy, attempts, self.reason)
        return printable(f"{self.name} {self.kind}: " + ", ".join(filter(None, parts)))


_TITLES = {"params": "parameters", "silence": "last heartbeat", "mlflow_run": "MLflow run"}
"""Of the details; others are the attributes' names."""
_COLUMNS = (
    "run", "kind", "state", "priority", "step", "heartbeat", "accuracy", "attempts", "parameters", "reason",
)  # fmt: skip


class QueuedRuns(Sequence[QueuedRun]):
    """Runs in the order of their submission and number; `str()` of it is a table to print.

    Args:
        runs: The runs.
        queue: The address of the queue that has them, without its password.
    """

    def __init__(self, runs: Iterable[QueuedRun], queue: str) -> None:
        self._runs, self._queue = tuple(runs), queue

    def __getitem__(self, index: Any) -> Any:
        return QueuedRuns(self._runs[index], self._queue) if isinstance(index, slice) else self._runs[index]

    def __len__(self) -> int:
        return len(self._runs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, QueuedRuns) and self._runs == other._runs

    def __hash__(self) -> int:
        return hash(self._runs)

    def __repr__(self) -> str:
        return f"QueuedRuns({list(self._runs)!r})"

    def __str__(self) -> str:
        if not self._runs:
            return f"there are no runs in the queue at {self._queue}"
        rows = [_COLUMNS]
        rows += [
            (
                run.name, run.kind, run.state, str(run.priority), f"{run.step}/{run.steps}" if run.steps else "",
                run.heartbeat, "" if run.accuracy is None else f"{run.accuracy:.3f}", str(run.attempts),
                " ".join(f"{name}={value}" for name, value in run.params.items()), run.reason,
            )
            for run in self._runs
        ]  # fmt: skip
        shown = [[printable(cell) for cell in row] for row in rows]
        used = [column for column in range(len(rows[0])) if any(row[column] for row in shown[1:])]
        widths = [max(len(row[column]) for row in shown) for column in used]
        return "\n".join(
            "  ".join(row[column].ljust(width) for column, width in zip(used, widths, strict=True)).rstrip()
            for row in shown
        )


def best_of(runs: Sequence[QueuedRun]) -> QueuedRun:
    """The complete candidate with the highest accuracy, the first one of equal ones. Raises AnswersError if there is
    none."""
    complete = [run for run in runs if run.kind == RunKind.CANDIDATE and run.state == RunState.COMPLETE]
    if not complete:
        raise AnswersError(
            "No candidate of the search came to its end.",
            hint="`sparklabel runs show` says why; `sparklabel runs retry` queues them again.",
        )
    return max(complete, key=lambda run: (run.accuracy or 0.0, -run.number))
