"""What is said of a pass when it ends, or before it begins.

In: a pass, its plan. Out: a PassReport. Reads only: the table's newest commits, and its rows by status.
"""

from typing import Any

from sparklabel.delta_table import UNVERSIONED
from sparklabel.errors import SparklabelError
from sparklabel.table.brakes import INTERRUPTED
from sparklabel.table.deletion_vectors import Rewritten
from sparklabel.table.history import ANSWERS, last_rate, pass_commits
from sparklabel.table.outcome import rows_by_status
from sparklabel.table.plan import Plan
from sparklabel.table.report import PassReport
from sparklabel.table.running import Pass

_COMMITS = 100
"""Where a pass looks for its own: they are among the newest."""


def dry_run_report(run: Pass, plan: Plan, refusal: SparklabelError | None = None) -> PassReport:
    """What it would do, in what time and for how much, by the table's last pass of the task; or why it would not."""
    target, most = run.opened.target, run.brakes.max_rows or plan.pending_inputs
    inputs = min(plan.pending_inputs, most)
    rate = last_rate(run.spark, target, run.task.name) if target.version != UNVERSIONED else None
    tokens = plan.prompt_tokens * inputs // max(1, plan.pending_inputs)
    estimated = inputs / rate if rate else None
    return PassReport(
        **_found(run, plan), dry_run=True, seconds=run.seconds, version_after=target.version,
        prompt_tokens=tokens, estimated_seconds=estimated, new_corrections=plan.silent,
        refused=str(refusal) if refusal else "", cost=run.price.of(estimated, tokens),
    )  # fmt: skip


def pass_report(
    run: Pass, plan: Plan, *, seconds: float | None = None, conflicts: int = 0, stopped: str = ""
) -> PassReport:
    """What it did, in so many `seconds` (since it was made). `stopped`: why it was not begun."""
    seconds = run.seconds if seconds is None else seconds
    work, target = run.work, run.opened.target
    reason = stopped or work.stopped
    newest = target.newest_version(run.spark) if target.version != UNVERSIONED else UNVERSIONED
    commits = pass_commits(run.spark, target, _COMMITS) if run.is_settled else []
    own = [c for c in commits if c.facts["pass_id"] == run.pass_id and c.step == ANSWERS]
    by_status = rows_by_status(run.spark, run.opened, run.pass_id) if run.is_settled else {}
    return PassReport(
        **_found(run, plan), dry_run=False, version_after=newest, labeled=sum(by_status.values()), by_status=by_status,
        resumed_inputs=run.resumed, cached_inputs=run.cached, cache_problem=run.cache_problem,
        corrections_stamped=run.stamped,
        kept_older=run.failed[0], failure=run.failed[1], prompt_tokens=work.prompt_tokens,
        output_tokens=work.output_tokens, inputs_per_second=work.rate, conflicts_retried=conflicts,
        rewritten="" if target.has_deletion_vectors else str(Rewritten.by(c.metrics for c in own)),
        seconds=seconds, cost=run.price.of(seconds, work.prompt_tokens + work.output_tokens),
        run_id=run.diary.run_id if run.has_begun else None,
        drift=str(run.drift) if run.drift and run.drift.is_major else "",
        interrupted=reason == INTERRUPTED, stopped="" if reason == INTERRUPTED else reason,
    )  # fmt: skip


def _found(run: Pass, plan: Plan) -> dict[str, Any]:
    """What the table had before, and what there was to do."""
    card = run.spec.card
    return {
        "table": run.opened.target.name, "task": run.task.name, "model": run.model,
        "task_fingerprint": run.task.fingerprint, "pass_id": run.pass_id, "version_before": run.version_before,
        "states": plan.states, "pending": plan.pending, "distinct_inputs": plan.pending_inputs,
        "human_kept": plan.states.get("human", 0) + plan.states.get("human_input_changed", 0),
        "human_input_changed": plan.states.get("human_input_changed", 0),
        "new_model_would_add": 0 if run.scope.relabel == "model" else plan.states.get("model_changed", 0),
        "examples": run.spec.examples.sentence if run.spec.examples else "",
        "earlier_task": card is not None and card.task_fingerprint != run.task.fingerprint,
    }  # fmt: skip
