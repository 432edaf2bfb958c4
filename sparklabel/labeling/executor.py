"""Runs the passes of one call, one for each task, in an order in which nothing is lost.

In: plans over one table. Out: a report each, and the table with the tasks' columns written. The order: refuse what can
be refused; add columns; attribute corrections; take the leases; answer the distinct pending inputs of the pinned
version chunk by chunk; MERGE, now and then and at the end, all tasks in one commit, guarded so that no human answer, no
later pass's answer and no changed input gets a stale one; clear staging.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace

from pyspark.sql import SparkSession

from sparklabel.delta.commits import (
    CLEANUP_ERRORS,
    commit_metadata,
    count_conflicts,
    retry_on_conflict,
)
from sparklabel.delta.snapshot import UNVERSIONED, enable_deletion_vectors
from sparklabel.errors import ConflictError
from sparklabel.labeler import PreparedTask
from sparklabel.labeling.build_report import build_report
from sparklabel.labeling.error_translation import failures_diagnosed
from sparklabel.labeling.increment import answers_all
from sparklabel.labeling.limits import INTERRUPTED, MAX_ERROR_RATIO, MAX_SECONDS, NOT_BEGUN, stop_reason
from sparklabel.labeling.outcome import InferenceResult, PassOutcome
from sparklabel.labeling.plan import PassPlan
from sparklabel.labeling.report import PassReport
from sparklabel.labeling.request import PassRequest
from sparklabel.labeling.running_pass import Ready, RunningPass
from sparklabel.labeling.small_pass import SmallPass
from sparklabel.labeling.staged_pass import StagedPass
from sparklabel.labeling.state.lease import Lease
from sparklabel.labeling.state.staging import Staging, open_staging
from sparklabel.labeling.stats import PassStats
from sparklabel.labeling.tracking import track_pass
from sparklabel.progress import tell
from sparklabel.sql import quote
from sparklabel.table.history import (
    ANSWERS,
    COLUMNS,
    CORRECTIONS,
    DONE,
    NEWEST_COMMITS,
    Rewritten,
    pass_commits,
)
from sparklabel.table.key import check_unique
from sparklabel.table.merge import corrections_change, merge_rows
from sparklabel.table.row_states import HASH, row_states, rows_by_status, shares_by_model, unattributed
from sparklabel.table.task_table import TaskTable
from sparklabel.termination import sigterm_exits
from sparklabel.udf import prepare

_MERGE_SECONDS, _MERGE_SHARE = 300.0, 10.0
"""A MERGE can rewrite the whole table: it should take no more than a tenth of the pass."""


def run_passes(spark: SparkSession, plans: Sequence[PassPlan], progress: bool) -> list[PassReport]:
    """Runs them one after the other, and writes what was answered even if one of them raises."""
    clock = time.monotonic()
    with sigterm_exits(), count_conflicts() as conflicts, ExitStack() as stack:
        with failures_diagnosed(spark, [plan.request for plan in plans]):
            prepared = [_prepare(spark, plan) for plan in plans]
            ready = [_ready(spark, *pair, progress) for pair in zip(plans, prepared, strict=True)]
        # From here on the tables have the tasks' columns, whose loss is an error of its own.
        stack.enter_context(
            failures_diagnosed(spark, [replace(one.request, table=one.table) for one in ready])
        )
        passes, merger = _start(ready, stack), _Merger()
        try:
            answer_in_turn(passes, merger)
        except Exception:
            with suppress(*CLEANUP_ERRORS):  # the first error is the one to report
                merger.settle()
            raise
        merger.settle()
        return _reports(ready, passes, time.monotonic() - clock, conflicts.number)


def _prepare(spark: SparkSession, plan: PassPlan) -> tuple[PassRequest, tuple[PreparedTask, ...]]:
    """Finds out what refuses the pass before the table changes: examples, prompts, a folder that cannot be written."""
    if not plan.pending:
        return plan.request, ()
    labeler = prepare(plan.request.spec, spark, adopt_examples=plan.request.adopt_examples)
    request = replace(plan.request, spec=labeler.spec)
    # Later small passes check the rows that they have.
    if not plan.is_small or request.table.label_columns.missing:
        check_key_of(plan)
    if not plan.is_small and request.table.target.version != UNVERSIONED:
        staging_of(spark, request, request.table)
    return request, labeler.tasks


def _ready(
    spark: SparkSession,
    plan: PassPlan,
    prepared: tuple[PassRequest, tuple[PreparedTask, ...]],
    progress: bool,
) -> Ready:
    """From here on the table has the task's columns, and says of each correction that a person made it."""
    request, asked = prepared
    table = ensure_columns(spark, request)
    corrections = _attribute_corrections(spark, request, table) if plan.unattributed else 0
    return Ready(spark, plan, request, asked, table, corrections, progress)


def check_key_of(plan: PassPlan) -> None:
    """Raises KeyColumnError unless the key names each pending row once: a MERGE could not write them."""
    table = plan.request.table
    check_unique(plan.pending_rows, table.source.name, table.keys)


def ensure_columns(spark: SparkSession, request: PassRequest) -> TaskTable:
    """Adds the task's columns if they are missing, and enables deletion vectors if that was asked for."""

    def commit() -> TaskTable:
        with commit_metadata(spark, **request.facts(COLUMNS)):
            table = request.table.ensure_columns(spark, request.task, request.calibrations)
            if request.storage.deletion_vectors and not table.target.has_deletion_vectors:
                return table.at(enable_deletion_vectors(spark, table.target))
            return table

    return retry_on_conflict(commit, f"Adding columns to {request.table.target.name}")


def _attribute_corrections(spark: SparkSession, request: PassRequest, table: TaskTable) -> int:
    """Writes into the records of human answers that a person gave them; how many there were."""
    states = row_states(
        spark, table, request.task, request.scope, request.spec.models, request.spec.min_confidence
    )
    corrected = states.where(unattributed()).select(*map(quote, table.keys), HASH)
    change = corrections_change(table, corrected)
    return merge_rows(table.target, table.keys, [change], request.facts(CORRECTIONS))


def staging_of(spark: SparkSession, request: PassRequest, table: TaskTable) -> Staging:
    """The staging table of a pass, made if it is missing. Raises TableError."""
    return open_staging(
        spark,
        table.target,
        table.label_columns,
        request.task,
        request.spec.models,
        request.pass_id,
        request.spec.decision,
        request.storage.staging,
    )


def _start(ready: Sequence[Ready], stack: ExitStack) -> list[RunningPass]:
    """The passes that have something to ask, in the order of `ready`; those that stage hold their leases."""
    asking = [one for one in ready if one.prepared]
    started: dict[str, RunningPass] = {}
    # In the same order everywhere: of two calls that want the same leases, the first gets them all.
    for one in sorted(asking, key=lambda one: one.table.label_columns.label):
        started[one.request.pass_id] = _started(one, stack)
    return [started[one.request.pass_id] for one in asking]


def _started(ready: Ready, stack: ExitStack) -> RunningPass:
    request = ready.request
    if ready.plan.is_small:
        return SmallPass(ready, stack.enter_context(track_pass(request)))
    staging = staging_of(ready.spark, request, ready.table)
    lease = stack.enter_context(Lease(ready.spark, staging, request.scope.shard, tell))
    return StagedPass(ready, stack.enter_context(track_pass(request)), staging, lease, stack)


def answer_in_turn(passes: Sequence[RunningPass], merger: "_Merger") -> None:
    """Answers one pass after the other. Ctrl-C and `max_seconds` end all that are left; a failing engine ends those
    with its model."""
    ended, failing = "", set[str]()
    for number, one in enumerate(passes):
        request, model = one.ready.request, one.ready.request.model
        if number and not ended:
            ended = stop_reason(request.limits, PassStats(), request.seconds)
        if ended or model in failing:
            one.answered = InferenceResult(stop_reason=ended if ended == INTERRUPTED else NOT_BEGUN)
            continue
        merger.add(one)
        try:
            one.answer(merger.merge_if_due)
        except BaseException:
            merger.remove(one)  # what it staged waits for the next call
            raise
        reason = one.answered.stop_reason
        if reason == MAX_ERROR_RATIO:
            failing.add(model)
        ended = reason if reason in (INTERRUPTED, MAX_SECONDS) else ""


class _Merger:
    """Merges the answers of several passes into the table in one commit."""

    def __init__(self) -> None:
        self._passes: list[RunningPass] = []
        self._next = time.monotonic() + _MERGE_SECONDS

    def add(self, one: RunningPass) -> None:
        self._passes.append(one)

    def remove(self, one: RunningPass) -> None:
        self._passes.remove(one)

    def merge_if_due(self) -> None:
        """Between two chunks. If other writers win every time, the next one may succeed."""
        if time.monotonic() >= self._next:
            with suppress(ConflictError):
                self.merge()
            self._next = max(self._next, time.monotonic() + _MERGE_SECONDS)

    def merge(self) -> None:
        started = time.monotonic()
        changes = [(one, change) for one in self._passes if (change := one.change())]
        if changes:
            facts = [_answer_facts(one) for one, _ in changes]
            metadata = facts[0] if len(facts) == 1 else {"passes": facts}
            table = changes[0][0].ready.table
            written = merge_rows(
                table.target, table.keys, [c for _, c in changes], metadata, insert=table.has_separate_labels
            )
            for one, _ in changes:
                one.merged(written if len(changes) == 1 else -1)
        now = time.monotonic()
        self._next = now + max(_MERGE_SECONDS, _MERGE_SHARE * (now - started))

    def settle(self) -> None:
        """Everything that was answered is in the table, and no longer in staging."""
        self.merge()
        for one in self._passes:
            if one.answered.should_merge:
                one.settle()


def _answer_facts(one: RunningPass) -> dict[str, object]:
    stats = one.stats
    facts: dict[str, object] = {
        "inputs_per_second": stats.rate,
        "prompt_tokens": stats.prompt_tokens,
    }
    if answers_all(one.ready.plan, one.answered):
        facts[DONE] = one.ready.plan.pending
    return one.ready.request.facts(ANSWERS) | facts


def _reports(
    ready: Sequence[Ready], passes: Sequence[RunningPass], seconds: float, conflicts: int
) -> list[PassReport]:
    """Each pass took its own time to answer, and its part of what the call shares."""
    running = {one.ready.request.pass_id: one for one in passes}
    shared = (seconds - sum(one.answered.seconds for one in passes)) / len(ready)
    spark, target = ready[0].spark, ready[0].table.target
    version = target.newest_version(spark)
    reports = []
    for one in ready:
        outcome = PassOutcome(version, shared, corrections_stamped=one.corrections, conflicts=conflicts)
        if found := running.get(one.request.pass_id):
            outcome = _outcome_of(found, outcome)
        report = build_report(replace(one.plan, request=one.request), outcome)
        if found:
            found.tracker.end(report.figures(), report.interrupted)
        reports.append(report)
    return reports


def _outcome_of(one: RunningPass, outcome: PassOutcome) -> PassOutcome:
    """With what came of asking the model. Only the table knows how many rows a guard kept."""
    ready, answered = one.ready, one.answered
    spark, table, pass_id = ready.spark, ready.table, ready.request.pass_id
    by_status = one.by_status() if answered.should_merge else {}
    if by_status is None:
        by_status = rows_by_status(spark, table, pass_id)
    by_model = shares_by_model(spark, table, pass_id) if by_status and ready.request.spec.fallback else {}
    rewritten = ""
    if by_status and not table.target.has_deletion_vectors and table.target.bytes >= Rewritten.WORTH_TELLING:
        commits = pass_commits(spark, table.target, NEWEST_COMMITS)
        own = [c for c in commits if c.facts["pass_id"] == pass_id and c.step == ANSWERS]
        rewritten = str(Rewritten.by(c.metrics for c in own))
    return replace(
        outcome,
        seconds=outcome.seconds + answered.seconds,
        answered=replace(answered, cache_problem=one.cache_problem),
        by_status=by_status,
        by_model=by_model,
        rewritten=rewritten,
        run_id=one.tracker.run_id if answered.stop_reason != NOT_BEGUN else None,
    )
