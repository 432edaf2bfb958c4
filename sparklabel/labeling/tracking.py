"""The progress of a pass, for machines: one JSON line per chunk in the log, and the same as metrics of an MLflow run.

In: what was computed so far. Out: lines of the logger "sparklabel.pass" at level INFO, and a run if there is an MLflow
store. A pass never creates a store.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from sparklabel import registry
from sparklabel.delta.commits import conflicts_met
from sparklabel.errors import SetupError
from sparklabel.labeling.request import PassRequest
from sparklabel.labeling.stats import PassStats
from sparklabel.progress import CHUNKS, tell

_LOG = logging.getLogger(CHUNKS)


class PassTracker:
    """Tracks one pass. `run_id` is that of its MLflow run, None without one."""

    def __init__(self, pass_id: str, run: registry.Run | None) -> None:
        self._pass_id, self._run, self._began = pass_id, run, time.monotonic()
        self.run_id = run.id if run else None

    def chunk(self, stats: PassStats, total: int) -> None:
        """After each chunk of a pass over `total` inputs."""
        figures = {
            "inputs": stats.inputs, "of": total, "failed": stats.failed, "prompt_tokens": stats.prompt_tokens,
            "output_tokens": stats.output_tokens, "inputs_per_second": round(stats.rate or 0.0, 2),
            "conflicts": conflicts_met(), "seconds": round(time.monotonic() - self._began, 1),
        }  # fmt: skip
        if _LOG.isEnabledFor(logging.INFO):
            _LOG.info(json.dumps({"pass_id": self._pass_id, "chunk": stats.chunks, **figures}))
        self._log({name: float(value) for name, value in figures.items()}, stats.chunks)

    def end(self, figures: Mapping[str, float | None], is_interrupted: bool = False) -> None:
        """The numbers of the report, when the pass has ended."""
        self._log(figures, 0)
        if self._run and is_interrupted:
            self._run.status = "KILLED"

    def end_runs_of(self, dead: Sequence[str], experiment: str) -> None:
        """Ends the runs of passes that were killed and whose rows this one took over."""
        if self._run is None:
            return
        try:
            for pass_id in dead:
                registry.end_run_of(pass_id, experiment)
        except SetupError as error:
            tell(f"the MLflow run of a killed pass could not be ended: {error.message}")

    def _log(self, figures: Mapping[str, float | None], step: int) -> None:
        if self._run is None:
            return
        try:
            self._run.log_metrics(figures, step)
        except SetupError as error:  # labels matter more than metrics
            tell(f"the pass continues without its MLflow run: {error.message}")
            self._run = None


@contextmanager
def track_pass(request: PassRequest) -> Iterator[PassTracker]:
    """Tracks a pass in its block. The MLflow run is finished, failed or killed as the block is."""
    is_done = False
    try:
        with ExitStack() as stack:
            run = _run(request, stack) if registry.has_store() else None
            yield PassTracker(request.pass_id, run)
            is_done = True
    except SetupError as error:
        if not is_done:
            raise
        tell(f"the pass has ended, but its MLflow run is not complete: {error.message}")


def _run(request: PassRequest, stack: ExitStack) -> registry.Run | None:
    """The pass's run, open until the stack is unwound; None if the store fails: labels matter more than metrics."""
    task = request.task.name
    tags = {registry.PASS_TAG: request.pass_id, registry.PROCESS_TAG: registry.this_process()}
    try:
        registry.end_runs_of_dead_processes(request.experiment)
        run = stack.enter_context(
            registry.start_run(f"label {task}", experiment=request.experiment, tags=tags)
        )
        run.log_params({"table": request.table.target.name, "task": task, **request.run_params()})
    except SetupError as error:
        tell(f"the pass has no MLflow run: {error}")
        return None
    return run
