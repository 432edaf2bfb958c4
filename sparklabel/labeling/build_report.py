"""From a plan and an outcome to the report. Runs no Spark statement."""

from typing import Any

from sparklabel.delta.changed_files import ChangedFiles
from sparklabel.errors import SparklabelError
from sparklabel.labeling.limits import INTERRUPTED
from sparklabel.labeling.outcome import InferenceResult, PassOutcome
from sparklabel.labeling.plan import PassPlan
from sparklabel.labeling.report import PassReport
from sparklabel.labeling.stats import PassStats


def dry_run_report(plan: PassPlan, seconds: float, refusal: SparklabelError | None = None) -> PassReport:
    """What a pass would do, how long it would take and what it would cost by the rate of the last one; or why it would
    be refused."""
    tokens = plan.prompt_tokens * plan.inputs // max(1, plan.pending_inputs)
    rate = plan.inputs_per_second
    estimated = plan.inputs / rate if rate else None
    source = None if plan.request.spec.manifest else plan.request.task.examples_from
    examples = f"{source.count} examples a prompt would be read from {source.table}" if source else ""
    return PassReport(
        **_before(plan) | {"examples": examples},
        dry_run=True,
        version_after=plan.request.table.target.version,
        seconds=seconds,
        prompt_tokens=tokens,
        estimated_seconds=estimated,
        new_corrections=plan.implicit_corrections,
        refused=str(refusal) if refusal else "",
        cost=plan.request.pricing.of(estimated, tokens),
    )


def build_report(plan: PassPlan, outcome: PassOutcome) -> PassReport:
    """What a pass did."""
    answered = outcome.answered or InferenceResult()
    stats, reason = answered.stats, answered.stop_reason
    drift = answered.first.drift
    return PassReport(
        **_before(plan),
        dry_run=False,
        version_after=outcome.version_after,
        labeled=sum(outcome.by_status.values()),
        by_status=dict(sorted(outcome.by_status.items())),  # the rows come in any order
        resumed_inputs=answered.resumed,
        cached_inputs=answered.cached,
        cache_problem=answered.cache_problem,
        corrections_stamped=outcome.corrections_stamped,
        kept_older=answered.kept_older,
        overtaken=_overtaken(plan, outcome, answered),
        failure=answered.failure,
        prompt_tokens=stats.prompt_tokens,
        output_tokens=stats.output_tokens,
        inputs_per_second=stats.rate,
        conflicts_retried=outcome.conflicts,
        rewritten=outcome.rewritten,
        seconds=outcome.seconds,
        **_shares(plan, outcome, stats),
        run_id=outcome.run_id,
        drift=str(drift) if drift and drift.is_major else "",
        leaning=answered.first.leaning,
        interrupted=reason == INTERRUPTED,
        stopped="" if reason == INTERRUPTED else reason,
    )


def _shares(plan: PassPlan, outcome: PassOutcome, stats: PassStats) -> dict[str, Any]:
    """What the pass cost; and with a fallback, who answered how much, and what the fallback alone would cost."""
    request, shares = plan.request, outcome.by_model
    pricing, tokens = request.pricing, stats.tokens
    if not shares:
        return {"cost": pricing.of(outcome.seconds, tokens)}
    first_paid, second_paid = (spec.engine.kind.is_paid for spec in request.spec.in_turn)
    if second_paid and not first_paid:  # the first one is a model of ours: its tokens have no price
        tokens = sum(share.tokens for model, share in shares.items() if model != request.spec.model.identity)
    inputs = sum(share.inputs for share in shares.values())
    second = shares.get(request.spec.in_turn[-1].model.identity)
    alone = None
    if second and not first_paid:  # a price is of one model, and its tokens are among those of both
        seconds = inputs / plan.fallback_rate if plan.fallback_rate else None
        alone = pricing.of(seconds, second.tokens * inputs // second.inputs)
    return {
        "cost": pricing.of(outcome.seconds, tokens), "fallback_cost": alone,
        "by_model": {model: shares[model].rows for model in request.spec.models if model in shares},
    }  # fmt: skip


def _overtaken(plan: PassPlan, outcome: PassOutcome, answered: InferenceResult) -> int:
    """Pending rows whose answer was not written because of other writers; 0 if some rows were not even asked."""
    was_asked_all = plan.inputs == plan.pending_inputs and not answered.stop_reason
    left = plan.pending - sum(outcome.by_status.values()) - answered.kept_older
    return left if was_asked_all else 0


def _unread(changed: ChangedFiles | None) -> str:
    if changed is None:
        return ""
    return (
        f"read {changed.read:,} of {changed.files:,} files, which the figures are about: the others are as they were "
        f"at version {changed.since}, of which no row was left pending"
    )


def _before(plan: PassPlan) -> dict[str, Any]:
    """What the table held, and what there was to do."""
    request = plan.request
    spec = request.spec
    manifest, examples = spec.manifest, spec.examples
    renews = request.scope.relabel == "model"
    is_unknown = spec.fallback is not None and spec.fallback.below is None  # which answers stand
    return {
        "table": request.table.target.name,
        "task": request.task.name,
        "model": request.model,
        "task_fingerprint": request.task.fingerprint,
        "pass_id": request.pass_id,
        "version_before": request.table.target.version,
        "states": plan.states,
        "unread": _unread(request.table.changed),
        "pending": plan.pending,
        "distinct_inputs": plan.pending_inputs,
        "lost_answers": plan.lost_answers,
        "human_kept": plan.human,
        "human_input_changed": plan.states.get("human_input_changed", 0),
        "new_model_would_add": 0 if renews or is_unknown else plan.states.get("model_changed", 0),
        "fallback_below": spec.fallback.below if spec.fallback else None,
        "examples": examples.sentence if examples else "",
        "calibrator": "; ".join(
            f"{one.calibrator} (MLflow run {one.calibrator_run})" for one in spec.in_turn if one.calibrator
        ),
        "earlier_task": manifest is not None and manifest.task_fingerprint != request.task.fingerprint,
    }
