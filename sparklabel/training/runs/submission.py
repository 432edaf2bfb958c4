"""What goes into the queue and comes out of it: a submission, its planned runs, a run that a worker has claimed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sparklabel.training.runs.records import QueuedRun, RunKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What was submitted under a name.

    Attributes:
        name: The name.
        call: What each run does, as `FinetuneCall.to_dict` gives it.
        call_name: The function: "finetune".
        search: What candidates vary, as `search_to_dict` gives it; None for a single run.
        processes: How many slots each run needs at once; 1 trains in the worker itself.
        use_gpu: Whether these are GPUs; None if executors have any.
        priority: Higher ones come first.
        max_retries: How often a run that was lost is begun again.
        mlflow_run: The parent of the runs' MLflow runs.
        submitted_at: When, in UTC, as ISO 8601.
    """

    name: str
    call_name: str
    call: Mapping[str, Any]
    search: Mapping[str, Any] | None
    processes: int
    use_gpu: bool | None
    priority: int
    max_retries: int
    mlflow_run: str
    submitted_at: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it; `read_record` gives it back."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run to be queued: what for, with what, and the MLflow run that it will be recorded in."""

    kind: RunKind
    params: Mapping[str, Any]
    mlflow_run: str


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """A run that a worker has claimed. `trial` is its attempt in the database."""

    submission: Submission
    run: QueuedRun
    trial: int


def now() -> str:
    """The time in UTC, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")
