"""How a fine-tuning is followed, and ended from another thread: by the queue of runs, which has many under way.

In: steps, as they are taken; a request to end. Out: how far it is; an error at the next place where nothing is lost.
"""

import threading
from dataclasses import dataclass, field

from sparklabel.errors import TrainingInterrupted
from sparklabel.language_model import StepMetrics

ONE_MODEL = threading.Lock()
"""Of the calls that a worker follows, one at a time has a model loaded in this process."""


class EndRequest:
    """A request that a training ends after its current step, with a checkpoint. Any thread may ask."""

    def __init__(self) -> None:
        self.reason = ""
        self._asked = threading.Event()

    def ask(self, reason: str) -> None:
        """Asks once; a later request changes nothing. The reason completes "It was ended: "."""
        if not self._asked.is_set():
            self.reason = reason
            self._asked.set()

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    def check(self) -> None:
        """Raises TrainingInterrupted if the training was asked to end."""
        if self.asked:
            raise TrainingInterrupted(f"It was ended: {self.reason}.")


@dataclass(slots=True)
class RunControl:
    """What goes with one call.

    Attributes:
        progress: Whether it shows a bar.
        run_id: The MLflow run to go on with; None starts one.
        end: The request to end.
        step: The newest step.
    """

    progress: bool = True
    run_id: str | None = None
    end: EndRequest = field(default_factory=EndRequest)
    step: StepMetrics | None = None
