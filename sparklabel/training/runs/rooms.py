"""How many runs a worker has room for at once.

In: a submission, those under way. Out: whether one more run fits, and whether others may pass it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sparklabel.training.runs.submission import Submission

MOST_AT_ONCE = 64


@dataclass(slots=True)
class Rooms:
    """How many runs fit at once.

    Attributes:
        slots: Says how many ranks of a submission the cluster can run at once, if nothing else runs.
        parallel: At most so many runs; None for as many as fit.
    """

    slots: Callable[[Submission], int]
    parallel: int | None = None

    def fits(self, submission: Submission, under_way: Sequence[Submission]) -> bool | None:
        """Whether a run has room beside those under way: True; False if it is in the way of no other; None if others
        must not pass it."""
        processes = submission.processes
        slots = self.slots(submission) if processes > 1 else 1
        if processes > slots:  # another worker may have more
            return False
        if self.parallel is not None and len(under_way) >= self.parallel:
            return None
        if processes == 1:
            return not any(other.processes == 1 for other in under_way)
        taken = sum(other.processes for other in under_way if other.processes > 1)
        return True if taken + processes <= slots else None
