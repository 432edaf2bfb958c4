"""What is said of a pass when it ends, or before it begins.

In: a pass, its plan. Out: a PassReport. Reads only: the table's newest commits, and its rows by status.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sparklabel.delta.snapshot import UNVERSIONED
from sparklabel.errors import SparklabelError
from sparklabel.labeling.labeling_pass import Pass
from sparklabel.labeling.options import INTERRUPTED
from sparklabel.labeling.plan import Plan
from sparklabel.labeling.report import PassReport
from sparklabel.table.history import ANSWERS, last_rate, pass_commits
from sparklabel.table.row_states import rows_by_status

_COMMITS = 100
"""Where a pass looks for its own: they are among the newest."""


def dry_run_report(run: Pass, plan: Plan, refusal: SparklabelError | None = None) -> PassReport:
    """What it would do, in what time and for how much, by the table's last pass of the task; or why it would not."""
    target, most = run.opened.target, run.limits.max_rows or plan.pending_inputs
    inputs = min(plan.pending_inputs, most)
    rate = last_rate(run.spark, target, run.task.name) if target.version != UNVERSIONED else None
    tokens = plan.prompt_tokens * inputs // max(1, plan.pending_inputs)
    estimated = inputs / rate if rate else None
    return PassReport(
        **_found(run, plan), dry_run=True, seconds=run.seconds, version_after=target.version,
        prompt_tokens=tokens, estimated_seconds=estimated, new_corrections=plan.implicit_corrections,
        refused=str(refusal) if refusal else "", cost=run.pricing.of(estimated, tokens),
    )  # fmt: skip


def pass_report(
    run: Pass, plan: Plan, *, seconds: float | None = None, conflicts: int = 0, stopped: str = ""
) -> PassReport:
    """What it did, in so many `seconds` (since it was made). `stopped`: why it was not begun."""
    seconds = run.seconds if seconds is None else seconds
    stats, target = run.stats, run.opened.target
    reason = stopped or stats.stopped
    newest = target.newest_version(run.spark) if target.version != UNVERSIONED else UNVERSIONED
    commits = pass_commits(run.spark, target, _COMMITS) if run.is_settled else []
    own = [c for c in commits if c.facts["pass_id"] == run.pass_id and c.step == ANSWERS]
    by_status = rows_by_status(run.spark, run.opened, run.pass_id) if run.is_settled else {}
    return PassReport(
        **_found(run, plan), dry_run=False, version_after=newest, labeled=sum(by_status.values()), by_status=by_status,
        resumed_inputs=run.resumed, cached_inputs=run.cached, cache_problem=run.cache_problem,
        corrections_stamped=run.stamped,
        kept_older=run.failed[0], failure=run.failed[1], prompt_tokens=stats.prompt_tokens,
        output_tokens=stats.output_tokens, inputs_per_second=stats.rate, conflicts_retried=conflicts,
        rewritten="" if target.has_deletion_vectors else str(Rewritten.by(c.metrics for c in own)),
        seconds=seconds, cost=run.pricing.of(seconds, stats.prompt_tokens + stats.output_tokens),
        run_id=run.tracker.run_id if run.has_begun else None,
        drift=str(run.drift) if run.drift and run.drift.is_major else "",
        interrupted=reason == INTERRUPTED, stopped="" if reason == INTERRUPTED else reason,
    )  # fmt: skip


def _found(run: Pass, plan: Plan) -> dict[str, Any]:
    """What the table had before, and what there was to do."""
    manifest = run.spec.manifest
    return {
        "table": run.opened.target.name, "task": run.task.name, "model": run.model,
        "task_fingerprint": run.task.fingerprint, "pass_id": run.pass_id, "version_before": run.version_before,
        "states": plan.states, "pending": plan.pending, "distinct_inputs": plan.pending_inputs,
        "human_kept": plan.states.get("human", 0) + plan.states.get("human_input_changed", 0),
        "human_input_changed": plan.states.get("human_input_changed", 0),
        "new_model_would_add": 0 if run.scope.relabel == "model" else plan.states.get("model_changed", 0),
        "examples": run.spec.examples.sentence if run.spec.examples else "",
        "earlier_task": manifest is not None and manifest.task_fingerprint != run.task.fingerprint,
    }  # fmt: skip


_WORTH_TELLING = 10 * 2**20


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What commits wrote: bytes of files, rows that changed, and rows that were copied beside them as they were."""

    bytes: int = 0
    changed: int = 0
    copied: int = 0

    @classmethod
    def by(cls, commits: Iterable[Mapping[str, Any]]) -> "Rewritten":
        """Of commits, given by the metrics that Delta keeps of each."""
        metrics = [{name: int(value) for name, value in commit.items()} for commit in commits]
        return cls(
            sum(m.get("numTargetBytesAdded", 0) for m in metrics),
            sum(m.get("numTargetRowsUpdated", 0) + m.get("numTargetRowsInserted", 0) for m in metrics),
            sum(m.get("numTargetRowsCopied", 0) for m in metrics),
        )

    @property
    def spared(self) -> int:
        """About how many bytes deletion vectors would have spared: those of the copied rows."""
        return self.bytes * self.copied // max(1, self.changed + self.copied)

    def __str__(self) -> str:
        """What to do about it, or nothing where it is little."""
        if self.spared < _WORTH_TELLING:
            return ""
        return (
            f"{self.bytes / 2**20:,.0f} MiB were written, {self.spared / 2**20:,.0f} of them for {self.copied:,} rows "
            "that did not change: deletion_vectors=True would spare these, and lifts the table's protocol"
        )
