"""A pass: every pending row of a table answered in place.

In: a table, a task, a key, a model. Out: a PassReport, and the table with its two columns written. The protocol:
check everything; pin a version; answer the distinct pending inputs in chunks, each appended to staging; MERGE from
staging, without a model in it, guarded so that no human answer, no later pass's answer and no changed input gets a
stale one.
"""

import time
import uuid
from collections.abc import Sequence
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparklabel.delta_table import open_target
from sparklabel.errors import TableError
from sparklabel.example_source import check_examples
from sparklabel.labels import (
    RELABEL,
    RETRYABLE,
    human_sql,
    input_hash_sql,
    keeps_older_sql,
    pending_states,
    quote,
    unstamped_sql,
)
from sparklabel.progress import WorkProgress
from sparklabel.references import DEFAULT
from sparklabel.table.answering import answer_inputs
from sparklabel.table.chunks import Work
from sparklabel.table.columns import Owned, TaskTable, add_columns, open_task_table, owned_columns
from sparklabel.table.commits import commit_metadata, retried
from sparklabel.table.history import last_rate
from sparklabel.table.merge import merge_rows
from sparklabel.table.plan import ANSWER, HASH, STATE, Plan, make_plan, pending_inputs, row_states, unstamped
from sparklabel.table.record import converted_sql, record_type
from sparklabel.table.report import PassReport
from sparklabel.table.staging import Staging, open_staging
from sparklabel.tasks import Task
from sparklabel.udf import LabelerSpec, check_askable, labeler_spec, with_examples


def label_table(
    spark: SparkSession,
    table: str,
    task: Task,
    *,
    key: str | Sequence[str],
    model: str = DEFAULT,
    engine: str = "auto",
    where: str | None = None,
    relabel: str = "task",
    column: str | None = None,
    adopt: bool = False,
    dry_run: bool = False,
    min_confidence: float = 0.0,
    max_error_ratio: float = 0.5,
    progress: bool = True,
    **options: Any,
) -> PassReport:
    """Labels the pending rows of a Delta table in place, in two columns: the task's name, and the record beside it.

    `table` is a name or a path; `key` a column, or several, that name each row once; `where` a SQL condition that
    narrows the pass. Pending is what has no answer, whose input changed, that failed in a way worth another try, and
    with relabel="task" what an earlier version of the task answered, with "model" also what another model answered;
    "none" leaves both. Human answers are kept, whatever changed. `column` names the value column otherwise;
    `adopt=True` takes an existing column as human answers. `dry_run` writes nothing and loads no model. An answer
    with less than `min_confidence` is withheld: status `uncertain`, a NULL value, the best guess in `alternatives`.
    The pass stops, and the report says so, when the engine failed on a larger share of the inputs than
    `max_error_ratio`; what it answered is written. `options` go to the engine. Called again after any death it goes
    on: staged answers are not computed twice.

    Raises TableError, ColumnError, KeyColumnError, TaskError, ModelError or SetupError before anything is loaded or
    written; ConflictError when other writers kept winning.
    """
    if relabel not in RELABEL:
        raise TableError(f"relabel={relabel!r} is not known.", hint=f"Use one of: {', '.join(RELABEL)}.")
    opened = open_task_table(spark, table, task, key, column, adopt)
    spec = labeler_spec(task, model, engine, options, min_confidence)
    if not (isinstance(max_error_ratio, int | float) and 0 <= max_error_ratio <= 1):
        raise TableError(f"max_error_ratio={max_error_ratio!r} is not between 0 and 1.")
    labeling = _Pass(spark, spec, opened, relabel, where, max_error_ratio)
    if not spec.card:
        check_examples(spark, task)
    plan = labeling.plan()
    if dry_run or not (plan.pending or plan.unstamped):
        return labeling.report(plan, dry_run=dry_run)
    return labeling.run(plan, progress)


_BEFORE, _SEEN = "_sparklabel_attempts_before", "_sparklabel_pass_seen"
"""What a row's record said when the pass began: its attempts, and which pass had written it."""


class _Pass:
    """One pass's facts, and its steps in order."""

    def __init__(
        self,
        spark: SparkSession,
        spec: LabelerSpec,
        opened: TaskTable,
        relabel: str,
        where: str | None,
        max_error_ratio: float = 1.0,
    ) -> None:
        self.spark, self.spec, self.relabel, self.where = spark, spec, relabel, where
        self.max_error_ratio = max_error_ratio
        self.target, self.keys, self.owned = opened.target, opened.keys, opened.owned
        self.task, self.model = spec.task, spec.model.identity
        self.version_before = self.target.version
        self.pass_id = uuid.uuid4().hex
        self.started = time.monotonic()

    def states(self) -> DataFrame:
        return row_states(
            self.spark, self.target, self.owned, self.task,
            model=self.model, relabel=self.relabel, where=self.where, min_confidence=self.spec.min_confidence,
        )  # fmt: skip

    def plan(self) -> Plan:
        return make_plan(self.states(), self.owned, self.task, self.relabel, self.spec.card)

    def run(self, plan: Plan, progress: bool) -> PassReport:
        if plan.pending:
            self.spec = with_examples(self.spec, self.spark)
            check_askable(self.spec)
        retried(self._add_columns, f"Adding columns to {self.target.name}")
        stamped = self._stamp_corrections() if plan.unstamped else 0
        if not plan.pending:
            return self.report(plan, corrections_stamped=stamped)
        staging = open_staging(
            self.spark, self.target, self.owned, self.task, self.model, self.pass_id, self.spec.decision
        )
        resumed = self._resumed(staging)
        work = self._answer(plan.pending_inputs - resumed, staging, resumed > 0, progress)
        kept, failure = (self._kept_older(staging), self._failure(staging)) if work.failed else (0, "")
        labeled = self._merge(
            self._source(staging), inputs_per_second=work.rate, prompt_tokens=work.prompt_tokens
        )
        staging.clear(self.spark, self._written() if resumed else None)
        return self.report(
            plan, labeled=labeled, by_status=self._by_status(), resumed_inputs=resumed,
            corrections_stamped=stamped, kept_older=kept, prompt_tokens=work.prompt_tokens,
            inputs_per_second=work.rate, failure=failure, interrupted=work.interrupted, stopped=work.stopped,
        )  # fmt: skip

    def _inputs(self) -> DataFrame:
        return pending_inputs(self.states(), self.task, self.relabel)

    def _resumed(self, staging: Staging) -> int:
        """How many of the pending inputs another pass has staged an answer to."""
        staged = staging.answers(self.spark)
        return self._inputs().join(staged, HASH).count() if staged.take(1) else 0

    def _answer(self, number: int, staging: Staging, resumed: bool, progress: bool) -> Work:
        """Answers the inputs that have no staged answer, `number` of them."""
        if not number:
            return Work()
        inputs = self._inputs()
        if resumed:
            inputs = inputs.join(staging.answers(self.spark), HASH, "left_anti")
        title = f"{self.target.name}: {self.task.name}"
        with WorkProgress(title, number, progress, "starting the model") as bar:
            return answer_inputs(self.spark, self.spec, staging, inputs, number, bar, self.max_error_ratio)

    def _source(self, staging: Staging) -> DataFrame:
        """The pending rows that have a staged answer: key columns, HASH, ANSWER as the table will hold it."""
        attempts = F.coalesce(
            F.when(F.col(STATE) == "retry", F.col(f"{quote(self.owned.label)}.attempts")), F.lit(0)
        )
        seen = F.col(f"{quote(self.owned.label)}.pass_id").alias(_SEEN)
        rows = self._pending().select(*map(quote, self.keys), HASH, attempts.alias(_BEFORE), seen)
        joined = rows.join(staging.answers(self.spark), HASH)
        answer = F.col(ANSWER).withField("pass_id", F.lit(self.pass_id))
        answer = answer.withField("attempts", (F.col(_BEFORE) + F.col(f"{ANSWER}.attempts")).cast("int"))
        return joined.select(*map(quote, self.keys), HASH, answer.alias(ANSWER), _SEEN)

    def _pending(self) -> DataFrame:
        return self.states().where(F.col(STATE).isin(*pending_states(self.relabel)))

    def _kept_older(self, staging: Staging) -> int:
        """How many rows keep the answer that they have, because the engine failed on their new one."""
        failed = staging.answers(self.spark).where(F.col(f"{ANSWER}.status").isin(*RETRYABLE))
        keeps = keeps_older_sql(quote(self.owned.label), ANSWER, HASH)
        return self._pending().join(failed, HASH).where(keeps).count()

    def _failure(self, staging: Staging) -> str:
        """What the engine said of one input that it failed on."""
        failed = staging.answers(self.spark).where(F.col(f"{ANSWER}.status").isin(*RETRYABLE))
        (row,) = failed.select(F.min(f"{ANSWER}.error").alias("error")).collect()
        return row["error"] or ""

    def _add_columns(self) -> None:
        """Looks at the table again first: another pass may be adding the same columns."""
        latest = open_target(self.spark, self.target.name)
        owned = owned_columns(latest, self.task, self.keys, self.owned.value, adopt=True)
        with commit_metadata(self.spark, **self._metadata()):
            self.target = add_columns(self.spark, latest, owned, self.task)
        self.owned = Owned(owned.value, owned.label, ())

    def _merge(self, answers: DataFrame, **metadata: Any) -> int:
        """Writes the answers; rows whose input changed meanwhile, or that a person or another pass answered, keep what
        they have."""
        value, label = (f"t.{quote(c)}" for c in (self.owned.value, self.owned.label))
        inputs = [f"t.{quote(str(self.target.column(c)))}" for c in self.task.inputs]
        # What a newer release added to the record, maybe just now, spoke of the old answer: it becomes NULL.
        table, ours = self.spark.sql(f"SELECT * FROM {self.target.sql}").schema, record_type(self.task)
        kept = converted_sql(f"s.{ANSWER}.value", ours["value"].dataType, table[self.owned.value].dataType)
        record = converted_sql(f"s.{ANSWER}", ours, table[self.owned.label].dataType)
        return self._merge_rows(
            answers,
            f"NOT {human_sql(value, label)} AND {input_hash_sql(inputs)} = s.{HASH} "
            f"AND {label}.pass_id <=> s.{_SEEN} "
            f"AND NOT {keeps_older_sql(label, f's.{ANSWER}', f's.{HASH}')}",
            f"{value} = {kept}, {label} = {record}",
            **metadata,
        )  # fmt: skip

    def _merge_rows(self, source: DataFrame, guard: str, assignments: str, **metadata: Any) -> int:
        return merge_rows(self.target, self.keys, source, guard, assignments, self._metadata() | metadata)

    def _stamp_corrections(self) -> int:
        """Marks rows that people changed by a plain UPDATE, so that they can be told from the model's for good."""
        value, label = (f"t.{quote(c)}" for c in (self.owned.value, self.owned.label))
        source = self.states().where(unstamped(self.owned)).select(*map(quote, self.keys), HASH)
        return self._merge_rows(
            source, f"{human_sql(value, label)} AND {unstamped_sql(label)}",
            f"{label}.source = 'human', {label}.status = if({label}.status = 'truncated', 'truncated', 'ok'), "
            f"{label}.input_hash = coalesce({label}.input_hash, s.{HASH}), "
            f"{label}.reviewed_at = coalesce({label}.reviewed_at, current_timestamp())",
        )  # fmt: skip

    def _written(self) -> DataFrame:
        """The records that this pass wrote into the table, in the column `record`."""
        return self.spark.sql(
            f"SELECT {quote(self.owned.label)} AS record FROM {self.target.sql} "
            f"WHERE {quote(self.owned.label)}.pass_id = '{self.pass_id}'"
        )

    def _by_status(self) -> dict[str, int]:
        rows = self._written().groupBy("record.status").agg(F.count("*").alias("rows")).collect()
        return {row["status"]: row["rows"] for row in rows}

    def _metadata(self) -> dict[str, Any]:
        return {
            "pass_id": self.pass_id, "task": self.task.name, "model": self.model,
            "task_fingerprint": self.task.fingerprint, "min_confidence": self.spec.min_confidence,
            "version_before": self.version_before, "where": self.where, "relabel": self.relabel,
        } | ({"examples": self.spec.examples.facts} if self.spec.examples else {})  # fmt: skip

    def report(self, plan: Plan, dry_run: bool = False, **outcome: Any) -> PassReport:
        if dry_run:
            rate = last_rate(self.spark, self.target, self.task.name)
            outcome["prompt_tokens"] = plan.prompt_tokens
            outcome["estimated_seconds"] = plan.pending_inputs / rate if rate else None
        card = self.spec.card
        return PassReport(
            table=self.target.name, task=self.task.name, model=self.model, task_fingerprint=self.task.fingerprint,
            pass_id=self.pass_id, dry_run=dry_run, version_before=self.version_before,
            version_after=open_target(self.spark, self.target.name).version, states=plan.states, pending=plan.pending,
            distinct_inputs=plan.pending_inputs,
            human_kept=plan.states.get("human", 0) + plan.states.get("human_input_changed", 0),
            human_input_changed=plan.states.get("human_input_changed", 0),
            new_model_would_add=0 if self.relabel == "model" else plan.states.get("model_changed", 0),
            examples=self.spec.examples.sentence if self.spec.examples else "",
            earlier_task=card is not None and card.task_fingerprint != self.task.fingerprint,
            seconds=time.monotonic() - self.started, **outcome,
        )  # fmt: skip
