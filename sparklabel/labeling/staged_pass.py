"""A pass whose answers are staged chunk by chunk, and merged from there. The loop that asks the model is here.

In: a plan, a staging table, a lease. Out: staged answers, and the changes that MERGEs write.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparklabel.delta.commits import best_effort, conflicts_met
from sparklabel.delta.kept_rows import keep
from sparklabel.delta.session import task_slots
from sparklabel.delta.tagged_jobs import TaggedJobs
from sparklabel.labeling.chunks import BUCKETS, Chunks
from sparklabel.labeling.drift import FirstAnswers
from sparklabel.labeling.inference import answer_chunk
from sparklabel.labeling.limits import DRIFT, INTERRUPTED, NOT_BEGUN, stop_reason
from sparklabel.labeling.outcome import InferenceResult
from sparklabel.labeling.plan import BUCKET
from sparklabel.labeling.running_pass import Ready, failures_of, first_interrupt, inputs_of, look_at_first
from sparklabel.labeling.state.answer_cache import Cache, open_cache
from sparklabel.labeling.state.lease import Lease
from sparklabel.labeling.state.staging import CLEARING, Staging
from sparklabel.labeling.stats import ChunkStats, PassStats
from sparklabel.labeling.tracking import PassTracker
from sparklabel.labeling.worker_deaths import WorkerRetry
from sparklabel.progress import WorkProgress
from sparklabel.table.merge import Change, answered_rows, answers_change
from sparklabel.table.row_states import HASH, records_of
from sparklabel.udf import LabelerSpec

_OTHER_COMMITS = 8
"""Commits to staging beside a pass's chunks: its lease and signs of life, cached answers, deletions."""


class StagedPass:
    """A pass whose answers are staged chunk by chunk, under a lease, and merged from there."""

    def __init__(
        self, ready: Ready, tracker: PassTracker, staging: Staging, lease: Lease, stack: ExitStack
    ) -> None:
        self.ready, self.tracker, self.stats = ready, tracker, PassStats()
        self.answered = InferenceResult(stop_reason=NOT_BEGUN)
        self._staging, self._lease, self._stack = staging, lease, stack
        self._resumed = self._cached = 0
        self._cache: Cache | None = None
        self._merged_chunks: int | None = None
        self._is_held_back = False

    def answer(self, merge_if_due: Callable[[], None]) -> None:
        ready, request = self.ready, self.ready.request
        began = time.monotonic()
        inputs = self._take_known(inputs_of(ready))
        left = ready.plan.inputs - self._resumed - self._cached
        first = self._first(ready.plan.pending_inputs) if self._resumed else FirstAnswers()
        reason = stop_reason(request.limits, PassStats(), 0.0, first.drift)
        if left > 0 and not reason:
            with WorkProgress(request.title, left, ready.progress, "starting the model") as bar:
                reason, first = self._ask(inputs, left, bar, merge_if_due, first)
        self._is_held_back = reason == DRIFT
        failed = failures_of(ready, self._staging.answers(ready.spark)) if self.stats.failed else (0, "")
        self.answered = InferenceResult(
            self.stats,
            reason,
            time.monotonic() - began,
            self._resumed,
            self._cached,
            first=first,
            kept_older=failed[0],
            failure=failed[1],
        )

    def _take_known(self, inputs: DataFrame) -> DataFrame:
        """The inputs that have no answer yet; those that were staged before, or are in the cache, have one after."""
        ready, staged = self.ready, self._staging.answers(self.ready.spark)
        if self._staging.holds_answers(ready.spark):
            self._resumed = inputs.join(staged, HASH).count()
        unknown = self._without_answer(inputs) if self._resumed else inputs
        request = ready.request
        location = ready.table.target.location
        self._cache = open_cache(request.storage, location, request.spec, ready.prepared)
        if self._cache:
            asked = unknown.hint("broadcast") if ready.plan.has_few_rows else unknown
            self._cached = self._cache.move_known(ready.spark, asked, self._staging)
        if self._resumed or self._cached:
            return keep(self._without_answer(inputs), self._stack)
        return inputs

    def _ask(
        self,
        inputs: DataFrame,
        number: int,
        bar: WorkProgress,
        merge_if_due: Callable[[], None],
        first: FirstAnswers,
    ) -> tuple[str, FirstAnswers]:
        """Stages answers chunk by chunk until there are no inputs left, or a reason to stop; Ctrl-C ends it after the
        chunk, and pressed again at once."""
        ready, stats = self.ready, self.stats
        spark, request = ready.spark, ready.request
        chunks, retry = Chunks(task_slots(spark), number), WorkerRetry(request.spec)
        with first_interrupt() as interrupt, TaggedJobs(spark, f"sparklabel-{request.pass_id}") as jobs:
            try:
                for buckets in chunks:
                    started = time.monotonic()
                    part = inputs.where(F.col(BUCKET).between(buckets[0], buckets[1] - 1))
                    files = chunks.files(number * (buckets[1] - buckets[0]) // BUCKETS)
                    stats.add(retry.run(partial(self._stage, part, chunks.slots, files, stats.chunks + 1)))
                    chunks.took(stats.last, time.monotonic() - started)
                    chunks.slots = task_slots(spark)  # executors come and go
                    conflicts = f", {met:,} conflicts" if (met := conflicts_met()) else ""
                    bar.advance(stats.last, stats.note + conflicts)
                    self.tracker.chunk(stats, number)
                    first = self._first(number) if stats.chunks == 1 else first
                    # After the last chunk it is done, however late.
                    seconds = 0.0 if buckets[1] == BUCKETS else request.seconds
                    reason = stop_reason(request.limits, stats, seconds, first.drift)
                    if reason != DRIFT:
                        merge_if_due()
                    if reason := reason or (INTERRUPTED if interrupt.heard else ""):
                        return reason, first
            except KeyboardInterrupt:
                jobs.stop()
                return INTERRUPTED, first
        return "", first

    def _stage(self, inputs: DataFrame, slots: int, files: int, chunk: int, spec: LabelerSpec) -> ChunkStats:
        return self._staging.append(answer_chunk(spec, inputs, slots, files), chunk)

    def change(self) -> Change | None:
        stats = self.stats
        nothing = not (stats.chunks or self._resumed or self._cached)
        if nothing or self._is_held_back or self._merged_chunks == stats.chunks:
            return None
        ready = self.ready
        # Without answers of others there is one for each input: no need to look for the newest.
        own = not self._resumed
        answers = self._staging.answers(ready.spark, after=self._merged_chunks or 0, own=own)
        rows = answered_rows(ready.table, ready.rows, answers, ready.request.pass_id)
        return answers_change(
            ready.table,
            ready.request.task,
            rows,
            few=ready.plan.has_few_rows,
            are_new=not ready.plan.answered_before,
        )

    def merged(self, rows: int) -> None:
        self._merged_chunks = self.stats.chunks

    def settle(self) -> None:
        """Answers go from staging to the cache, and the lease is given back."""
        ready, staging, lease, stats = self.ready, self._staging, self._lease, self.stats
        spark, request = ready.spark, ready.request
        if self._cache and stats.chunks:
            self._cache.keep(spark, staging.computed(spark), stats.inputs)
        lease.stop()
        lease.look_again()
        merged = None
        # Beside a pass over a part of the rows others work, whose answers to the same inputs may not be merged yet.
        if (self._resumed or lease.dead) and request.scope.is_whole:
            merged = records_of(spark, ready.table, request.spec.models, request.task.fingerprint)
        self.tracker.end_runs_of(lease.dead, request.experiment)
        with best_effort(CLEARING):
            staging.clear(spark, merged, lease.dead, commits=stats.chunks + _OTHER_COMMITS)
            lease.released = True

    @property
    def cache_problem(self) -> str:
        return self._cache.problem if self._cache else ""

    def by_status(self) -> dict[str, int] | None:
        return None

    def _without_answer(self, inputs: DataFrame) -> DataFrame:
        return inputs.join(self._staging.answers(self.ready.spark, pinned=True), HASH, "left_anti")

    def _first(self, inputs: int) -> FirstAnswers:
        return look_at_first(self.ready, self._staging.answers(self.ready.spark), inputs)
