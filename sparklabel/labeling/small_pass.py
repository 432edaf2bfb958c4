"""A pass that takes seconds: its answers go through the driver, and nothing is staged.

In: a plan that is small. Out: one change, for the MERGE.
"""

import time
from collections.abc import Callable

from sparklabel.delta.tagged_jobs import TaggedJobs
from sparklabel.labeling.inference import answer_on_driver
from sparklabel.labeling.limits import INTERRUPTED, NOT_BEGUN, stop_reason
from sparklabel.labeling.outcome import InferenceResult
from sparklabel.labeling.running_pass import Ready, failures_of, first_interrupt, inputs_of, look_at_first
from sparklabel.labeling.stats import PassStats
from sparklabel.labeling.tracking import PassTracker
from sparklabel.labeling.worker_deaths import WorkerRetry
from sparklabel.progress import WorkProgress
from sparklabel.table.merge import Change, answers_change
from sparklabel.table.row_states import ANSWER, HASH


class SmallPass:
    """A pass that takes seconds. Its answers go through the driver: nothing is staged, no lease is held, the cache is
    not asked. A death loses what is computed again in seconds; of two passes at once one's answers are merged."""

    def __init__(self, ready: Ready, tracker: PassTracker) -> None:
        self.ready, self.tracker, self.stats = ready, tracker, PassStats()
        self.answered = InferenceResult(stop_reason=NOT_BEGUN)
        self._change: Change | None = None
        self._statuses: dict[str, int] = {}
        self._written = 0

    def answer(self, merge_if_due: Callable[[], None]) -> None:
        ready, stats = self.ready, self.stats
        request, began = ready.request, time.monotonic()
        inputs = inputs_of(ready)
        with (
            WorkProgress(request.title, ready.plan.inputs, ready.progress, "starting the model") as bar,
            first_interrupt() as interrupt,
            TaggedJobs(ready.spark, f"sparklabel-{request.pass_id}") as jobs,
        ):
            try:
                found = WorkerRetry(request.spec).run(
                    lambda spec: answer_on_driver(
                        ready.spark, spec, request.pass_id, ready.table, ready.rows, inputs
                    )
                )
            except KeyboardInterrupt:
                jobs.stop()
                self.answered = InferenceResult(stop_reason=INTERRUPTED, seconds=time.monotonic() - began)
                return
            stats.add(found.chunk)
            bar.advance(stats.last, stats.note)
        self.tracker.chunk(stats, ready.plan.inputs)
        first = look_at_first(ready, found.rows, ready.plan.inputs)
        reason = stop_reason(request.limits, stats, 0.0, first.drift)  # however late, it is done
        kept, failure = (
            failures_of(ready, found.rows.select(HASH, ANSWER).distinct()) if stats.failed else (0, "")
        )
        self.answered = InferenceResult(
            stats,
            reason or (INTERRUPTED if interrupt.heard else ""),
            time.monotonic() - began,
            first=first,
            kept_older=kept,
            failure=failure,
        )
        self._statuses = found.by_status
        if self.answered.should_merge and stats.inputs:
            self._change = answers_change(
                ready.table,
                request.task,
                found.rows,
                few=True,
                are_new=not ready.plan.answered_before,
                keys=found.keys,
            )

    def change(self) -> Change | None:
        return self._change

    def merged(self, rows: int) -> None:
        self._change, self._written = None, rows

    def settle(self) -> None:
        """Nothing was kept."""

    @property
    def cache_problem(self) -> str:
        return ""

    def by_status(self) -> dict[str, int] | None:
        return self._statuses if self._written == sum(self._statuses.values()) else None
