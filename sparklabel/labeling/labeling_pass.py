"""A pass over one table for one task: its facts, and its steps.

In: an opened table, a spec, what narrows and ends the pass. Out: answers in staging, what of them is to be merged, a
PassReport. The order of the steps, and what passes of one call share, is in runner.py.
"""

import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparklabel.delta.commits import best_effort, commit_metadata, retry_on_conflict
from sparklabel.delta.snapshot import UNVERSIONED, switch_on
from sparklabel.labeler import PreparedTask
from sparklabel.labeling.chunks import PassStats
from sparklabel.labeling.drift import LEAST, Drift, answer_counts, compared
from sparklabel.labeling.inference import answer_inputs
from sparklabel.labeling.options import DRIFT, PassLimits, Pricing, StorageOptions
from sparklabel.labeling.plan import Plan, kept, make_plan
from sparklabel.labeling.state.answer_cache import Cache, open_cache
from sparklabel.labeling.state.lease import Lease
from sparklabel.labeling.state.pending_inputs import remove_leftovers
from sparklabel.labeling.state.staging import CLEARING, Staging, open_staging
from sparklabel.labeling.tracking import track_pass
from sparklabel.labels.predicates import pending_states
from sparklabel.progress import WorkProgress, tell
from sparklabel.sql import quote
from sparklabel.table.history import COLUMNS, CORRECTIONS
from sparklabel.table.merge import Change, answered_rows, answers_change, corrections_change, merge_rows
from sparklabel.table.row_states import (
    ANSWER,
    HASH,
    STATE,
    Scope,
    distinct_inputs,
    failure_of,
    records_of,
    row_states,
    rows_kept,
    unattributed,
)
from sparklabel.table.task_table import TaskTable
from sparklabel.tasks import has_choices
from sparklabel.udf import LabelerSpec, check_askable, with_examples

_OTHER_COMMITS = 3
"""To staging, beside those of chunks: the lease, what was in the cache, the clearing."""
_FEW_ROWS = 10_000
"""Pending rows up to so many are found by one scan, kept by Spark while the pass lasts, and sent to where the table and
the cache are joined with them: these are not shuffled for a few rows."""


class Pass:
    """One pass. `stats` is what it computed so far; `resumed`, `cached`: how many inputs had a staged answer, or one in
    the cache; `merged`: the last chunk that is in the table, None before the first MERGE."""

    def __init__(
        self,
        spark: SparkSession,
        spec: LabelerSpec,
        opened: TaskTable,
        scope: Scope | None = None,
        limits: PassLimits | None = None,
        pricing: Pricing | None = None,
        storage: StorageOptions | None = None,
        experiment: str = "sparklabel",
    ) -> None:
        self.spark, self.spec, self.opened = spark, spec, opened
        self.scope, self.limits = scope or Scope(), limits or PassLimits()
        self.pricing, self.storage, self.experiment = (
            pricing or Pricing(),
            storage or StorageOptions(),
            experiment,
        )
        self.task, self.model = spec.task, spec.model.identity
        self.version_before = opened.target.version
        self.pass_id = uuid.uuid4().hex
        self.began_at, self._clock = datetime.now(UTC), time.monotonic()
        self.stats, self.has_begun = PassStats(), False
        self.resumed = self.cached = self.stamped = 0
        self.merged: int | None = None
        self.drift: Drift | None = None
        self.failed: tuple[int, str] = (0, "")
        self._cache: Cache | None = None
        self._prepared: PreparedTask | None = None
        self._staging: Staging | None = None
        self._few: DataFrame | None = None
        self._at_end = ExitStack()

    @property
    def seconds(self) -> float:
        """Since it was made."""
        return time.monotonic() - self._clock

    def states(self) -> DataFrame:
        """The rows of the scope."""
        return row_states(
            self.spark, self.opened, self.task, self.scope, self.model, self.spec.min_confidence
        )

    def plan(self) -> Plan:
        return make_plan(
            self.states(), self.opened.label_columns, self.task, self.scope.relabel, self.spec.manifest
        )

    def prepare(self) -> None:
        """What refuses to be made is found out before the table changes."""
        self.spec = with_examples(self.spec, self.spark)
        self._prepared = check_askable(self.spec)
        if self.opened.target.version != UNVERSIONED:
            self._staging = self.open_staging()

    def make_room(self) -> None:
        """The task's columns are in the table from here on."""

        def commit() -> None:
            with commit_metadata(self.spark, **self.facts(COLUMNS)):
                self.opened = self.opened.make_room(self.spark, self.task)
                if self.storage.deletion_vectors and not self.opened.target.has_deletion_vectors:
                    self.opened = self.opened.at(switch_on(self.spark, self.opened.target))

        retry_on_conflict(commit, f"Adding columns to {self.opened.target.name}")

    def stamp_corrections(self, number: int) -> None:
        """Of so many rows."""
        corrected = self.states().where(unattributed(self.opened.label_columns))
        rows = corrected.select(*map(quote, self.opened.keys), HASH)
        change = replace(corrections_change(self.opened, rows), few=number <= _FEW_ROWS)
        self.stamped = merge_rows(self.opened.target, self.opened.keys, [change], self.facts(CORRECTIONS))

    def hold(self, stack: ExitStack, plan: Plan) -> None:
        """Takes the lease, and begins the diary, until the stack is unwound. Few pending rows are kept as long."""
        self._staging, self._at_end = self._staging or self.open_staging(), stack
        self.lease = stack.enter_context(
            Lease(self.spark, self._staging, self.scope.where, self.shares_rows, tell)
        )
        self.tracker = stack.enter_context(
            track_pass(self.pass_id, self.task.name, self.opened.target.name, self._params(), self.experiment)
        )
        if plan.pending <= _FEW_ROWS:
            inputs = (str(self.opened.source.column(c)) for c in self.task.inputs)
            names = dict.fromkeys((*self.opened.keys, *inputs, self.opened.label_columns.label, HASH, STATE))
            self._few = kept(self._pending().select(*map(quote, names)), stack)

    def open_staging(self) -> Staging:
        return open_staging(
            self.spark, self.opened.target, self.opened.label_columns, self.task, self.model, self.pass_id,
            self.spec.decision, self.storage.staging,
        )  # fmt: skip

    def shares_rows(self, where: str | None) -> bool:
        """Whether another pass's condition holds for rows of this one."""
        if where is None or self.scope.where is None:
            return True
        return bool(self.states().where(where).take(1))

    def answer(self, plan: Plan, progress: bool, after_chunk: Callable[[], None]) -> None:
        """Stages answers to all pending inputs: those that are staged, or in the cache, are not computed again."""
        self.has_begun = True
        staging, inputs = self.staging, self._inputs()
        staged = staging.answers(self.spark)
        if staged.take(1):
            self.resumed = inputs.join(staged, HASH).count()
        unknown = self._without_answer(inputs) if self.resumed else inputs
        assert self._prepared is not None
        self._cache = open_cache(self.storage, self.opened.target.location, self.spec, self._prepared)
        if self._cache:
            asked = unknown.hint("broadcast") if self._few is not None else unknown
            self.cached = self._cache.move_known(self.spark, asked, staging)
        if self.resumed and self._drifted(plan.pending_inputs):
            self.stats.stopped = DRIFT
            return
        number = plan.pending_inputs
        number = min(number, self.limits.max_rows or number) - self.resumed - self.cached
        if number <= 0:
            return
        if self.cached:
            unknown = self._without_answer(inputs)
        title = f"{self.opened.target.name}: {self.task.name}"
        with WorkProgress(title, number, progress, "starting the model") as bar:

            def after(stats: PassStats) -> str:
                self.stats = stats
                self.tracker.chunk(stats, number)
                if stats.chunks == 1 and self._drifted(number):
                    return DRIFT
                after_chunk()
                return self.limits.stop_reason(stats, self.seconds)

            self.stats = answer_inputs(
                self.spark, self.spec, staging, unknown, number, bar, self._at_end, after
            )
        if self.stats.failed:
            self.failed = self._failures()

    @property
    def cache_problem(self) -> str:
        """Why the cache could not be used."""
        return self._cache.problem if self._cache else ""

    @property
    def staging(self) -> Staging:
        """Open from `hold` on."""
        assert self._staging is not None
        return self._staging

    @property
    def is_settled(self) -> bool:
        """Whether what was answered is to go into the table. After a drift it waits for a call that takes it."""
        return self.has_begun and self.stats.stopped != DRIFT

    def change(self) -> Change | None:
        """What is staged and not merged yet."""
        nothing = not (self.stats.chunks or self.resumed or self.cached)
        if nothing or not self.is_settled or self.merged == self.stats.chunks:
            return None
        change = answers_change(self.opened, self.task, self.source(self.staging, self.merged or 0))
        return replace(change, few=self._few is not None)

    def source(self, staging: Staging, after: int = 0) -> DataFrame:
        """The pending rows that have a staged answer, of a later chunk than `after`, as a MERGE takes them."""
        return answered_rows(self.opened, self._pending(), staging.answers(self.spark, after), self.pass_id)

    def settle(self) -> None:
        """Behind the last MERGE: answers go from staging to the cache, and the lease with them."""
        staging, lease = self.staging, self.lease
        if self._cache and self.stats.chunks:
            self._cache.keep(self.spark, staging.computed(self.spark), self.stats.inputs)
        lease.stop()
        merged = None
        # Beside a pass with a condition others work, whose answers to the same inputs may not be merged yet.
        if (self.resumed or lease.dead) and self.scope.where is None:
            merged = records_of(self.spark, self.opened, self.model, self.task.fingerprint)
        with best_effort(CLEARING):
            staging.clear(self.spark, merged, lease.dead, commits=self.stats.chunks + _OTHER_COMMITS)
            remove_leftovers(self.spark, staging, lease.dead)
            lease.released = True

    def facts(self, step: str) -> dict[str, Any]:
        """What a commit says of this pass."""
        return {
            "pass_id": self.pass_id, "step": step, "began": self.began_at.isoformat(), "task": self.task.name,
            "model": self.model, "task_fingerprint": self.task.fingerprint,
            "min_confidence": self.spec.min_confidence,
            "column": self.opened.label_columns.value, "key": list(self.opened.keys),
            "version_before": self.version_before,
            "where": self.scope.where, "relabel": self.scope.relabel,
        } | ({"examples": self.spec.examples.facts} if self.spec.examples else {})  # fmt: skip

    def _inputs(self) -> DataFrame:
        inputs = distinct_inputs(self._pending(), self.task)
        return inputs.orderBy(HASH).limit(self.limits.max_rows) if self.limits.max_rows else inputs

    def _without_answer(self, inputs: DataFrame) -> DataFrame:
        return inputs.join(self.staging.answers(self.spark, pinned=True), HASH, "left_anti")

    def _params(self) -> Mapping[str, Any]:
        return {
            "pass_id": self.pass_id, "model": self.model, "engine": str(self.spec.engine),
            "task_fingerprint": self.task.fingerprint, "where": self.scope.where, "relabel": self.scope.relabel,
        }  # fmt: skip

    def _drifted(self, number: int) -> bool:
        """Whether the first answers are to end the pass."""
        if number < LEAST or self.limits.on_drift == "ignore" or not has_choices(self.task):
            return False
        before = answer_counts(self.opened.target.read(self.spark), quote(self.opened.label_columns.label))
        self.drift = compared(before, answer_counts(self.staging.answers(self.spark), ANSWER))
        return self.drift is not None and self.drift.is_major and self.limits.on_drift == "stop"

    def _pending(self) -> DataFrame:
        if self._few is not None:
            return self._few
        return self.states().where(F.col(STATE).isin(*pending_states(self.scope.relabel)))

    def _failures(self) -> tuple[int, str]:
        """How many rows keep the answer that they have, because the engine failed on their new one; and what it said of
        one input."""
        answers = self.staging.answers(self.spark)
        return rows_kept(self.opened, self._pending(), answers), failure_of(answers)
