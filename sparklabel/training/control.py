"""How a fine-tuning is followed, and ended from another thread: by the queue of runs, which has many under way.

In: steps, as they are taken; a request to end. Out: how far it is; an error at the next place where nothing is lost.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sparklabel.errors import TrainingInterrupted

if TYPE_CHECKING:
    from sparklabel.language_model import StepMetrics

ONE_MODEL = threading.Lock()
"""Of the calls that a worker follows, one at a time judges, or fits a probe, with a model in this process."""


class EndRequest:
    """A request that a training ends after its current step, with a checkpoint. Any thread may ask."""

    def __init__(self) -> None:
        self.reason = ""
        self._asked = threading.Event()

    def ask(self, reason: str) -> None:
        """Asks once; a later request changes nothing. The reason completes "The training was ended: "."""
        if not self._asked.is_set():
            self.reason = reason
            self._asked.set()

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    def check(self) -> None:
        """Raises TrainingInterrupted if the training was asked to end."""
        if self.asked:
            raise TrainingInterrupted(f"The training was ended: {self.reason}.")


@dataclass(slots=True)
class RunControl:
    """What goes with one call.

    Attributes:
        progress: Whether it shows a bar.
        run_id: The MLflow run to go on with; None starts one.
        end: The request to end.
        step: The newest step.
        confirm: Asks whether the call is still this process's, and asks `end` if it is not. Called before what must not
            be done twice.
        at_the_end: Takes what is to be removed when the call's result is safe: called at once, or by the queue when it
            has noted the result.
    """

    progress: bool = True
    run_id: str | None = None
    end: EndRequest = field(default_factory=EndRequest)
    step: "StepMetrics | None" = None
    confirm: Callable[[], None] = lambda: None
    at_the_end: Callable[[Callable[[], None]], None] = lambda remove: remove()

    def check_ours(self) -> None:
        """Raises TrainingInterrupted if the call was asked to end, or is another process's by now."""
        self.confirm()
        self.end.check()
