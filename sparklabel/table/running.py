"""A pass over one table for one task, step by step.

In: an opened table, a spec, what narrows and ends the pass. Out: a PassReport, and the table with its two columns
written. The protocol: add columns; stamp corrections; take the lease; answer the distinct pending inputs of a pinned
version in chunks, each appended to staging; MERGE from staging, now and then and at the end, without a model in it,
guarded so that no human answer, no later pass's answer and no changed input gets a stale one; clear staging.
"""

import time
import uuid
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparklabel.delta_table import UNVERSIONED
from sparklabel.labels import pending_states, quote
from sparklabel.progress import WorkProgress
from sparklabel.table.answering import answer_inputs
from sparklabel.table.brakes import DRIFT, INTERRUPTED, Brakes, tell
from sparklabel.table.chunks import Work
from sparklabel.table.commits import commit_metadata, retried
from sparklabel.table.diary import Diary, open_diary
from sparklabel.table.drift import LEAST, Drift, answer_counts, compared
from sparklabel.table.history import ANSWERS, COLUMNS, CORRECTIONS, last_rate
from sparklabel.table.lease import Lease
from sparklabel.table.merge import merge_answers, stamp_corrections
from sparklabel.table.opening import TaskTable
from sparklabel.table.outcome import failure_of, records_of, rows_by_status, rows_kept
from sparklabel.table.plan import (
    ANSWER,
    HASH,
    SEEN,
    STATE,
    Plan,
    make_plan,
    pending_inputs,
    row_states,
    unstamped,
)
from sparklabel.table.price import Price
from sparklabel.table.report import PassReport
from sparklabel.table.staging import Staging, open_staging
from sparklabel.table.todo import remove_leftovers
from sparklabel.tasks import has_choices
from sparklabel.udf import LabelerSpec, check_askable, with_examples

_BEFORE = "_sparklabel_attempts_before"
_MERGE_SECONDS, _MERGE_SHARE = 300.0, 10.0
"""A MERGE can rewrite the whole table: what it takes shall stay a tenth of the pass."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which rows a pass is for. `where` is a SQL condition, `relabel` says what counts as pending, and `retry` how
    often rows with a failed status are asked; `staging` is where answers wait to be merged (None: beside the table)."""

    relabel: str = "task"
    where: str | None = None
    staging: str | None = None
    retry: tuple[tuple[str, int | None], ...] = ()


class Pass:
    """One pass's facts, and its steps in order."""

    def __init__(
        self,
        spark: SparkSession,
        spec: LabelerSpec,
        opened: TaskTable,
        scope: Scope | None = None,
        brakes: Brakes | None = None,
        price: Price | None = None,
        experiment: str = "sparklabel",
    ) -> None:
        self.spark, self.spec, self.opened = spark, spec, opened
        self.scope, self.brakes = scope or Scope(), brakes or Brakes()
        self.price, self.experiment = price or Price(), experiment
        self.task, self.model = spec.task, spec.model.identity
        self.version_before = opened.target.version
        self.pass_id = uuid.uuid4().hex
        self.started = time.monotonic()
        self._merged = _Merged()
        self._drift: Drift | None = None

    def states(self) -> DataFrame:
        """The rows of the scope."""
        return row_states(
            self.spark, self.opened, self.task, model=self.model, relabel=self.scope.relabel,
            where=self.scope.where, min_confidence=self.spec.min_confidence, retry=dict(self.scope.retry),
        )  # fmt: skip

    def plan(self) -> Plan:
        return make_plan(self.states(), self.opened.owned, self.task, self.scope.relabel, self.spec.card)

    def run(self, plan: Plan, progress: bool) -> PassReport:
        if plan.pending:
            self.spec = with_examples(self.spec, self.spark)
            check_askable(self.spec)
        # What refuses to be made is found out before the table changes.
        there = plan.pending and self.opened.target.version != UNVERSIONED
        opened = self.open_staging() if there else None
        retried(self.make_room, f"Adding columns to {self.opened.target.name}")
        stamped = self._stamp_corrections() if plan.unstamped else 0
        if not plan.pending:
            return self.report(plan, corrections_stamped=stamped)
        staging = opened or self.open_staging()
        target = self.opened.target.name
        with (
            Lease(self.spark, staging, self.scope.where, self._shares_rows, tell) as lease,
            open_diary(self.pass_id, self.task.name, target, self._params(), self.experiment) as diary,
        ):
            resumed = self._resumed(staging)
            work = self._answer(plan.pending_inputs - resumed, staging, resumed > 0, progress, diary)
            kept, failure = self._failures(staging) if work.failed else (0, "")
            if work.stopped != DRIFT:  # else the answers wait in staging for a call that takes them
                self._merge(staging, work)
                lease.stop()
                staging.clear(self.spark, self._settled() if resumed or lease.dead else None, lease.dead)
                remove_leftovers(self.spark, staging, lease.dead)
                lease.released = True
            report = self.report(
                plan, labeled=self._merged.rows, resumed_inputs=resumed, corrections_stamped=stamped, kept_older=kept,
                by_status=rows_by_status(self.spark, self.opened, self.pass_id), prompt_tokens=work.prompt_tokens,
                output_tokens=work.output_tokens, inputs_per_second=work.rate, failure=failure, run_id=diary.run_id,
                drift=str(self._drift) if self._drift and self._drift.is_major else "",
                interrupted=work.stopped == INTERRUPTED,
                stopped=work.stopped if work.stopped != INTERRUPTED else "",
            )  # fmt: skip
            diary.end(report.figures())
        return report

    def make_room(self) -> None:
        """The task's columns are in the table from here on."""
        with commit_metadata(self.spark, **self._metadata(COLUMNS)):
            self.opened = self.opened.make_room(self.spark, self.task)

    def open_staging(self) -> Staging:
        return open_staging(
            self.spark, self.opened.target, self.opened.owned, self.task, self.model, self.pass_id,
            self.spec.decision, self.scope.staging,
        )  # fmt: skip

    def source(self, staging: Staging, after: int = 0) -> DataFrame:
        """The pending rows that have a staged answer, of a later chunk than `after`: key columns, HASH, SEEN, ANSWER as
        the table will hold it."""
        label = quote(self.opened.owned.label)
        attempts = F.coalesce(F.when(F.col(STATE) == "retry", F.col(f"{label}.attempts")), F.lit(0))
        keys = [quote(key) for key in self.opened.keys]
        seen = F.col(f"{label}.pass_id").alias(SEEN)
        rows = self._pending().select(*keys, HASH, attempts.alias(_BEFORE), seen)
        joined = rows.join(staging.answers(self.spark, after), HASH)
        answer = F.col(ANSWER).withField("pass_id", F.lit(self.pass_id))
        answer = answer.withField("attempts", (F.col(_BEFORE) + F.col(f"{ANSWER}.attempts")).cast("int"))
        return joined.select(*keys, HASH, SEEN, answer.alias(ANSWER))

    def _shares_rows(self, where: str | None) -> bool:
        """Whether another pass's condition holds for rows of this one."""
        if where is None or self.scope.where is None:
            return True
        return bool(self.states().where(where).take(1))

    def _inputs(self) -> DataFrame:
        inputs = pending_inputs(self.states(), self.task, self.scope.relabel)
        return inputs.orderBy(HASH).limit(self.brakes.max_rows) if self.brakes.max_rows else inputs

    def _resumed(self, staging: Staging) -> int:
        """How many of the pending inputs another pass has staged an answer to."""
        staged = staging.answers(self.spark)
        return self._inputs().join(staged, HASH).count() if staged.take(1) else 0

    def _params(self) -> dict[str, Any]:
        return {
            "pass_id": self.pass_id, "model": self.model, "engine": str(self.spec.engine),
            "task_fingerprint": self.task.fingerprint, "where": self.scope.where, "relabel": self.scope.relabel,
        }  # fmt: skip

    def _answer(self, number: int, staging: Staging, resumed: bool, progress: bool, diary: Diary) -> Work:
        """Answers the inputs that have no staged answer, `number` of them."""
        number = min(number, self.brakes.max_rows or number)
        if not number:
            return Work()
        inputs = self._inputs()
        if resumed:
            inputs = inputs.join(staging.answers(self.spark), HASH, "left_anti")
        title = f"{self.opened.target.name}: {self.task.name}"
        with WorkProgress(title, number, progress, "starting the model") as bar:

            def after_chunk(work: Work) -> str:
                diary.chunk(work, number)
                if work.chunks == 1 and self._drifted(staging, number):
                    return DRIFT
                if self._merged.is_due:
                    self._merge(staging, work)
                return self.brakes.reason_to_stop(work, self.started)

            return answer_inputs(self.spark, self.spec, staging, inputs, number, bar, after_chunk)

    def _drifted(self, staging: Staging, number: int) -> bool:
        """Whether the first answers are to end the pass."""
        if number < LEAST or self.brakes.on_drift == "ignore" or not has_choices(self.task):
            return False
        label = quote(self.opened.owned.label)
        before = answer_counts(self.opened.target.read(self.spark), label)
        self._drift = compared(before, answer_counts(staging.answers(self.spark), ANSWER))
        return self._drift is not None and self._drift.is_major and self.brakes.on_drift == "stop"

    def _merge(self, staging: Staging, work: Work) -> None:
        started, after = time.monotonic(), self._merged.chunk
        facts = {"inputs_per_second": work.rate, "prompt_tokens": work.prompt_tokens}
        rows = merge_answers(
            self.opened, self.task, self.source(staging, after), self._metadata(ANSWERS) | facts
        )
        self._merged.add(rows, work.chunks, started)

    def _pending(self) -> DataFrame:
        return self.states().where(F.col(STATE).isin(*pending_states(self.scope.relabel)))

    def _failures(self, staging: Staging) -> tuple[int, str]:
        """How many rows keep the answer that they have, because the engine failed on their new one; and what it said of
        one input."""
        answers = staging.answers(self.spark)
        return rows_kept(self.opened, self._pending(), answers), failure_of(answers)

    def _settled(self) -> DataFrame:
        """Records that say what this pass would: by it, or by one that died behind its MERGE."""
        return records_of(self.spark, self.opened, self.model, self.task.fingerprint)

    def _stamp_corrections(self) -> int:
        corrected = self.states().where(unstamped(self.opened.owned))
        rows = corrected.select(*map(quote, self.opened.keys), HASH)
        return stamp_corrections(self.opened, rows, self._metadata(CORRECTIONS))

    def _metadata(self, step: str) -> dict[str, Any]:
        return {
            "pass_id": self.pass_id, "step": step, "task": self.task.name, "model": self.model,
            "task_fingerprint": self.task.fingerprint, "min_confidence": self.spec.min_confidence,
            "column": self.opened.owned.value, "key": list(self.opened.keys), "version_before": self.version_before,
            "where": self.scope.where, "relabel": self.scope.relabel,
        } | ({"examples": self.spec.examples.facts} if self.spec.examples else {})  # fmt: skip

    def report(self, plan: Plan, dry_run: bool = False, **outcome: Any) -> PassReport:
        target, card = self.opened.target, self.spec.card
        there = self.opened.target.version != UNVERSIONED
        if dry_run:
            rate = last_rate(self.spark, target, self.task.name) if there else None
            inputs = min(plan.pending_inputs, self.brakes.max_rows or plan.pending_inputs)
            outcome["prompt_tokens"] = plan.prompt_tokens * inputs // max(1, plan.pending_inputs)
            outcome["estimated_seconds"] = inputs / rate if rate else None
            cost = self.price.of(outcome["estimated_seconds"], outcome["prompt_tokens"])
        else:
            tokens = outcome.get("prompt_tokens", 0) + outcome.get("output_tokens", 0)
            cost = self.price.of(time.monotonic() - self.started, tokens)
        return PassReport(
            table=target.name, task=self.task.name, model=self.model, task_fingerprint=self.task.fingerprint,
            pass_id=self.pass_id, dry_run=dry_run, version_before=self.version_before,
            version_after=target.newest_version(self.spark) if there and not dry_run else target.version,
            states=plan.states, pending=plan.pending, distinct_inputs=plan.pending_inputs,
            human_kept=plan.states.get("human", 0) + plan.states.get("human_input_changed", 0),
            human_input_changed=plan.states.get("human_input_changed", 0),
            new_model_would_add=0 if self.scope.relabel == "model" else plan.states.get("model_changed", 0),
            examples=self.spec.examples.sentence if self.spec.examples else "",
            earlier_task=card is not None and card.task_fingerprint != self.task.fingerprint,
            seconds=time.monotonic() - self.started, cost=cost, **outcome,
        )  # fmt: skip


class _Merged:
    """What is in the table already: rows, up to which chunk; and when the next MERGE is worth its while."""

    def __init__(self) -> None:
        self.rows = self.chunk = 0
        self._next = time.monotonic() + _MERGE_SECONDS

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self._next

    def add(self, rows: int, chunk: int, started: float) -> None:
        self.rows, self.chunk, now = self.rows + rows, chunk, time.monotonic()
        self._next = now + max(_MERGE_SECONDS, _MERGE_SHARE * (now - started))
