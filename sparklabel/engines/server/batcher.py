"""Batches the requests of many clients for an engine that takes one call at a time.

In: requests from many threads. Out: to each its own answer. While the engine computes, requests queue up. Those with
the same prefix and constraint go into the next call together, so that the engine sees full batches under load.
"""

import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

from sparklabel.engines.base import (
    Engine,
    GenerationRequest,
    HiddenStatesRequest,
    ReadableEngine,
    ScoringRequest,
)
from sparklabel.errors import EngineDied, EngineError

Request = ScoringRequest | GenerationRequest | HiddenStatesRequest

_MAX_ROWS = 20_000
"""In one call, unless a single request has more. Later requests should not wait for all rows before them."""


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    engine: Engine
    request: Request
    done: "Future[Any]" = field(default_factory=Future)

    def can_join(self, other: "_Job") -> bool:
        return self.engine is other.engine and replace(self.request, rows=()) == replace(
            other.request, rows=()
        )


class Batcher:
    """One thread that computes. Engines that share a device belong to one batcher: it calls them one after another."""

    def __init__(self) -> None:
        self._waiting: deque[_Job] = deque()
        self._changed = threading.Condition()
        threading.Thread(target=self._work, name="engine", daemon=True).start()

    @property
    def waiting(self) -> int:
        """How many requests are waiting for the engine."""
        return len(self._waiting)

    def run(self, engine: Engine, request: Request) -> Any:
        """The engine's answer to the request, as `ask` returns it. Raises what the engine raises."""
        job = _Job(engine, request)
        with self._changed:
            self._waiting.append(job)
            self._changed.notify()
        return job.done.result()

    def _work(self) -> None:
        while True:
            _answer(self._next())

    def _next(self) -> list[_Job]:
        """The request that has waited longest, and those that can join its call."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting))
            first = self._waiting.popleft()
            jobs, rows = [first], len(first.request.rows)
            for job in list(self._waiting):
                if job.can_join(first) and rows + len(job.request.rows) <= _MAX_ROWS:
                    self._waiting.remove(job)
                    jobs.append(job)
                    rows += len(job.request.rows)
            return jobs


def _answer(jobs: list[_Job]) -> None:
    """Computes the jobs in one call. If that fails and the engine is alive, each job is tried alone: one client's rows
    must not fail another's."""
    try:
        merged = replace(jobs[0].request, rows=tuple(row for job in jobs for row in job.request.rows))
        answers = ask(jobs[0].engine, merged)
        if len(answers) != len(merged.rows):
            raise RuntimeError(f"the engine returned {len(answers)} answers for {len(merged.rows)} rows")
        ends = accumulate(len(job.request.rows) for job in jobs)
        parts = [answers[end - len(job.request.rows) : end] for job, end in zip(jobs, ends, strict=True)]
    except EngineError as error:
        if len(jobs) == 1 or isinstance(error, EngineDied):
            _fail(jobs, error)
        else:
            for job in jobs:
                _answer([job])
    except BaseException as error:  # noqa: BLE001 a bug is raised in the client; this thread continues
        _fail(jobs, error)
    else:
        for job, part in zip(jobs, parts, strict=True):
            job.done.set_result(part)


def _fail(jobs: list[_Job], error: BaseException) -> None:
    for job in jobs:
        job.done.set_exception(error)


def ask(engine: Engine, request: Request) -> Any:
    """The scores [N, O] of a ScoringRequest, the completions of a GenerationRequest, or the hidden states [N, 2 D] of a
    HiddenStatesRequest."""
    if isinstance(request, ScoringRequest):
        return engine.score(request)
    if isinstance(request, GenerationRequest):
        return engine.generate(request)
    if not isinstance(engine, ReadableEngine):
        raise EngineError("This engine gives no hidden states.")
    return engine.hidden_states(request)
