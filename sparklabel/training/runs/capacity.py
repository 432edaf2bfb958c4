"""How many runs a worker can have at once.

In: a submission, those under way. Out: whether one more run is taken, left to other workers, or waited for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from sparklabel.training.runs.submission import Submission

MAX_AT_ONCE = 64


class Admission(Enum):
    """What a worker does with a run that waits: takes it; skips it, for less urgent ones; or waits until there is room,
    and takes no other meanwhile."""

    TAKE = "take"
    SKIP = "skip"
    WAIT = "wait"


@dataclass(slots=True)
class Capacity:
    """How many runs there is room for.

    Attributes:
        slots: Says how many ranks of a submission the cluster can run at once, if nothing else runs.
        parallel: At most so many runs; None for as many as there is room for.
    """

    slots: Callable[[Submission], int]
    parallel: int | None = None

    def admits(self, submission: Submission, active: Sequence[Submission]) -> Admission:
        """What to do with a run beside those that are active. One that needs more slots than the cluster has is
        skipped: another worker may have more."""
        processes = submission.processes
        slots = self.slots(submission) if processes > 1 else 1
        if processes > slots:
            return Admission.SKIP
        if self.parallel is not None and len(active) >= self.parallel:
            return Admission.WAIT
        if processes == 1:
            is_free = not any(other.processes == 1 for other in active)
            return Admission.TAKE if is_free else Admission.SKIP
        taken = sum(other.processes for other in active if other.processes > 1)
        return Admission.TAKE if taken + processes <= slots else Admission.WAIT
