"""Trials in a process of their own: a model takes gigabytes, and loading one takes the server's time.

In: a task, a model, rows. Out: a future of a `Trial`. One trial at a time; the model of the last one stays loaded.
"""

import os
import signal
from collections.abc import Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from sparklabel.errors import EngineError
from sparklabel.reviewing.insight.playground import Trial, try_task
from sparklabel.tasks import task_from_dict

_NICE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRequest:
    """What is tried. `task` is as `Task.to_dict` gives it, or as YAML has it; `judged` are inputs with people's
    answers."""

    task: Mapping[str, Any]
    model: str
    rows: tuple[tuple[str, ...], ...]
    engine: str = "auto"
    judged: tuple[tuple[tuple[str | None, ...], Any], ...] = ()


class PlaygroundProcess:
    """The process, which is started by the first trial. If it dies, its trials fail with an error that can be retried,
    and the next one starts another."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    def submit(self, request: TrialRequest) -> "Future[Trial]":
        """Begins a trial. Its future raises what `try_task` raises, and TaskError for what is not a task."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, get_context("spawn"), _begin)
        try:
            found = self._pool.submit(_tried, request)
        except BrokenProcessPool:
            self.close()
            return self.submit(request)
        return found

    def close(self) -> None:
        """Ends the process, and what it computes."""
        pool, self._pool = self._pool, None
        if pool:
            # `terminate_workers` does this from Python 3.14 on.
            for child in list((pool._processes or {}).values()):
                child.terminate()
            pool.shutdown(wait=True, cancel_futures=True)


def trial_error(error: BaseException) -> BaseException:
    """A trial's error as a person should read it: that of a process that died says so."""
    if isinstance(error, BrokenProcessPool):
        return EngineError("The model's process ended in the middle of the trial.", hint="Try it again.")
    return error


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the server, which ends this process
    os.nice(_NICE)


def _tried(request: TrialRequest) -> Trial:
    task = task_from_dict(dict(request.task))
    return try_task(task, request.model, request.rows, engine=request.engine, judged=request.judged)
