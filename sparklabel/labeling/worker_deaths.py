"""What a pass does when a Python worker dies: it retries with the model in a process of its own.

In: how a pass asks, and the specification of its labeler. Out: what that gives. A worker survives the death of that
other process, and finds the row that caused it (see `sparklabel.udf.worker`).
"""

from collections.abc import Callable
from typing import TypeVar

from sparklabel.delta.errors import is_death, spark_errors
from sparklabel.progress import tell
from sparklabel.udf import LabelerSpec, worker_errors

_Made = TypeVar("_Made")


class WorkerRetry:
    """Asks with `spec`; once a worker has died, with an engine that is isolated in a process of its own."""

    def __init__(self, spec: LabelerSpec) -> None:
        self._spec = spec

    def run(self, ask: Callable[[LabelerSpec], _Made]) -> _Made:
        """What `ask` gives. Raises what it raises; a worker's death only where its engine cannot be moved."""
        try:
            with worker_errors():
                return ask(self._spec)
        except spark_errors() as error:
            isolated = self._spec.isolated()
            if not is_death(error) or isolated == self._spec:
                raise
        tell("a Python worker died: retrying with the model in a process of its own, to find the row")
        self._spec = isolated
        with worker_errors():
            return ask(self._spec)
