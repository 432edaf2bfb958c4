"""`label_table`: labels the pending rows of a table in place.

In: a table, a task or several, a model. Out: a PassReport for each task. All arguments are checked here, before
anything is loaded or written; `run_passes` does the rest.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Unpack, overload

from pyspark.sql import SparkSession

from sparklabel import registry
from sparklabel.arguments import check_arguments, check_flags
from sparklabel.delta.log_stores import check_stores
from sparklabel.delta.snapshot import check_folders
from sparklabel.engines import EngineOptions, engine_spec
from sparklabel.errors import TableError
from sparklabel.labeling.arguments import LabelArguments
from sparklabel.labeling.build_report import build_report, dry_run_report
from sparklabel.labeling.executor import check_key_of, run_passes
from sparklabel.labeling.fallback import settled_plan
from sparklabel.labeling.increment import read_changed
from sparklabel.labeling.limits import DEFAULT_ERROR_RATIO, PassLimits
from sparklabel.labeling.options import Pricing, StorageOptions
from sparklabel.labeling.outcome import PassOutcome
from sparklabel.labeling.plan import PassPlan, make_plan
from sparklabel.labeling.report import PassReport
from sparklabel.labeling.request import PassRequest, calibrated_spec
from sparklabel.labeling.state.features import keep_features
from sparklabel.labeling.task_arguments import check_columns_apart, models_of, tasks_of
from sparklabel.labels.predicates import RELABEL
from sparklabel.labels.status import EMPTY_INPUT, FAILURES
from sparklabel.models.references import DEFAULT
from sparklabel.progress import tell
from sparklabel.table.examples import check_examples
from sparklabel.table.row_states import Scope
from sparklabel.table.shards import Shard
from sparklabel.table.task_table import open_task_tables
from sparklabel.tasks import Task
from sparklabel.udf import HiddenStatesSpec, labeler_spec, with_fallback
from sparklabel.udf.spec import AUTO


@overload
def label_table(
    spark: SparkSession, table: str, task: Task, **arguments: Unpack[LabelArguments]
) -> PassReport: ...
@overload
def label_table(
    spark: SparkSession, table: str, task: Sequence[Task], **arguments: Unpack[LabelArguments]
) -> list[PassReport]: ...
def label_table(
    spark: SparkSession,
    table: str,
    task: Task | Sequence[Task],
    *,
    key: str | Sequence[str] | None = None,
    model: str | Mapping[str, str] = DEFAULT,
    engine: str | EngineOptions = "auto",
    fallback: str | None = None,
    fallback_below: float | str = AUTO,
    fallback_engine: str | EngineOptions | None = None,
    where: str | None = None,
    shard: tuple[int, int] | None = None,
    relabel: str = "task",
    column: str | None = None,
    adopt: bool = False,
    adopt_examples: bool = False,
    into: str | None = None,
    dry_run: bool = False,
    features: bool = False,
    min_confidence: float = 0.0,
    max_rows: int | None = None,
    max_seconds: float | None = None,
    max_error_ratio: float = DEFAULT_ERROR_RATIO,
    max_new_corrections: int | None = 1000,
    on_drift: str = "warn",
    cost_per_hour: float | None = None,
    cost_per_million_tokens: float | None = None,
    retry: Mapping[str, int | None] | None = None,
    staging: str | None = None,
    cache: bool | str = True,
    deletion_vectors: bool = False,
    allow_unsafe_store: bool = False,
    experiment: str = registry.DEFAULT_EXPERIMENT,
    progress: bool = True,
    **options: Any,
) -> PassReport | list[PassReport]:
    """Labels the pending rows of a Delta table in place.

    A task owns two columns: its value, and the record beside it. Rows are pending if they have no answer; changed their
    input; failed with a retryable status; or, with relabel="task" (the default), were answered by an earlier version of
    the task; with relabel="model", also by another model. Human answers are kept, whatever changed. Equal inputs are
    asked once.

    A call that is interrupted or killed is continued by the next one. A pass that takes longer than seconds keeps its
    answers in `staging` until they are merged, and in the `cache` for later passes: an answer to the same prompt,
    input, model, engine and options is not computed again.

    Args:
        spark: A session with Delta, classic or Connect.
        table: The name or the absolute path of a Delta table; with `into`, also of a view.
        task: A task, or several. Several are answered one after the other, and written by one MERGE.
        key: The column, or columns, that identify each row. Only the first pass needs it: the table remembers it.
        model: A model reference; for several tasks also a dict of task name to reference.
        engine: "auto", "transformers", "vllm", "openai" or "fake"; or its options, for example
            sl.VllmOptions(max_model_len=4096).
        fallback: A second model, which is asked about what the first one is not sure of. Each label's `model` says who
            answered.
        fallback_below: The confidence below which it is asked; or "auto" for the lowest one with which both together
            are, within one point, as right as the second alone: on at least 100 held-out answers of people, of which at
            most 1,000 are asked of both first.
        fallback_engine: Its engine, or the options of it; by default that of the first model, with its options.
        where: A SQL condition that narrows the pass, for example "day = DATE'2026-11-28'".
        shard: A part of the rows, by a hash of their key: shard=(3, 8) is the fourth of eight. Passes over other shards
            of the table may run at the same time.
        relabel: Which answers to renew: "none", "task" or "model".
        column: The value column, if it is not named as the task.
        adopt: Take an existing value column as human answers.
        adopt_examples: Take examples (`examples_from`) also from a column that no pass wrote, as human answers.
        into: The table for key and labels, created if it is missing; `table` is only read then.
        dry_run: Report what the pass would do. Writes nothing and loads no model.
        features: Then also keep the model's hidden states of the rows that a review draws (20,000 at random, and those
            that the model was least sure of): its live probe reads them in place of the embedded model's.
        min_confidence: Withhold answers with less: status `uncertain`, a NULL value, the best guess in `alternatives`.
        max_rows: The most distinct inputs to ask.
        max_seconds: Stop after the chunk in which so many seconds have passed since the call began.
        max_error_ratio: Stop if the engine failed on a larger share of the inputs, from 0 to 1.
        max_new_corrections: Refuse the pass if more values than this differ from the model's recorded ones without a
            record that a person changed them; None for no limit.
        on_drift: When the first answers are distributed unlike those of earlier passes: "warn" in the report, "stop"
            and write nothing, or "ignore".
        cost_per_hour: The price of an hour of what computes, in any currency, for the report.
        cost_per_million_tokens: The price of a million prompt and output tokens.
        retry: The most attempts by status: {"invalid_output": 3} tries such rows at most three times in all,
            {"timeout": 5} at most five. By default `timeout` and `engine_error` are retried in every pass; other
            failures wait for a changed input or task.
        staging: The folder for answers that wait to be merged; by default inside the table's folder.
        cache: True for a cache inside the table's folder, False for none, or a folder that several tables share.
        deletion_vectors: Enable deletion vectors in the table, so that a MERGE rewrites only changed rows. Upgrades the
            table protocol: readers that do not support it are locked out.
        allow_unsafe_store: Write also where Delta loses commits if a second driver writes there: on Amazon S3, unless
            the session has a log store that excludes other drivers. Only safe if no one else writes there.
        experiment: The MLflow experiment of the pass's run, if there is an MLflow store.
        progress: Show progress on stderr.
        **options: Options of the engine, for example dtype="float32".

    Returns:
        A PassReport, or a list of them for several tasks. `print` it for a summary.

    Raises:
        TableError, ColumnError, KeyColumnError, TaskError, ModelError or SetupError: Before anything is loaded or
            written.
        AnswersError: `fallback_below="auto"`, and there are too few answers of people, or no threshold holds.
        ConflictError: Another pass works on the same rows, or other writers kept winning.

    Example:
        >>> report = sl.label_table(spark, "support.tickets", intent, key="ticket_id")  # doctest: +SKIP
        >>> print(report)  # doctest: +SKIP
    """
    check_arguments("label_table", LabelArguments.__annotations__, options)
    engine_spec(engine, options)
    if relabel not in RELABEL:
        raise TableError(f"relabel={relabel!r} is not one of {', '.join(RELABEL)}.")
    check_flags(
        TableError,
        adopt=adopt,
        adopt_examples=adopt_examples,
        dry_run=dry_run,
        features=features,
        progress=progress,
    )
    limits = PassLimits(max_error_ratio, max_rows, max_seconds, on_drift, max_new_corrections)
    storage = StorageOptions(staging, cache, deletion_vectors, allow_unsafe_store)
    pricing = Pricing(cost_per_hour, cost_per_million_tokens)
    scope = Scope(relabel, where, Shard.checked(shard), checked_retry({} if retry is None else retry))
    tasks = tasks_of(task, column)
    models = models_of(tasks, model)
    check_columns_apart(tasks, [(one.name, f"{one.name}_label") for one in tasks])
    began = time.monotonic()
    check_folders(spark, staging=staging, cache=cache)
    opened = open_task_tables(spark, table, tasks, key, column, adopt, into, check_rows=False, writes=True)
    check_stores(spark, allow_unsafe_store, [opened[0].target, staging, cache])
    check_columns_apart(tasks, [(one.label_columns.value, one.label_columns.label) for one in opened])
    requests = []
    for one, found in zip(tasks, opened, strict=True):
        spec = labeler_spec(one, models[one.name], engine, options, min_confidence, experiment)
        spec = with_fallback(spec, fallback, fallback_below, fallback_engine, engine, options, experiment)
        spec = calibrated_spec(spec, found)
        requests.append(
            PassRequest(
                spec, found, scope, limits, pricing, storage, experiment, adopt_examples, call_began=began
            )
        )
        if not all(one.manifest for one in spec.in_turn):
            check_examples(spark, one, adopt_examples)
    reads = [HiddenStatesSpec.of(request.spec) for request in requests] if features else []
    with ExitStack() as stack:
        if not dry_run:
            requests = [read_changed(spark, request) for request in requests]
        plans = [make_plan(spark, request, stack) for request in requests]
        refusals = [_refusal(plan, adopt) for plan in plans]
        if dry_run:
            for plan in plans:
                check_key_of(plan)
            seconds = (time.monotonic() - began) / len(plans)
            reports = [dry_run_report(plan, seconds, no) for plan, no in zip(plans, refusals, strict=True)]
        elif refusal := next(filter(None, refusals), None):
            raise refusal
        elif any(plan.pending or plan.unattributed for plan in plans):
            for lost in filter(None, (plan.lost_answers for plan in plans)):
                tell(lost)
            plans = [settled_plan(spark, plan, stack) for plan in plans]
            reports = run_passes(spark, plans, progress)
        else:
            reports = [_nothing_to_do(plan, (time.monotonic() - began) / len(plans)) for plan in plans]
    if reads and not dry_run:
        if any(report.interrupted or report.stopped for report in reports):
            tell("features are not read, as the pass did not come to its end: the next call reads them")
        else:
            for found, read in zip(opened, reads, strict=True):
                left = None if max_seconds is None else max_seconds - (time.monotonic() - began)
                keep_features(spark, found, read, where, scope.shard, seconds_left=left, progress=progress)
    return reports[0] if isinstance(task, Task) else reports


def _refusal(plan: PassPlan, adopt: bool) -> TableError | None:
    """Too many implicit corrections. A column that is adopted counts as people's answers, once."""
    table = plan.request.table
    if adopt and table.label_columns.missing:
        return None
    return plan.request.limits.refusal(
        plan.implicit_corrections, table.target.name, table.label_columns.value
    )


def _nothing_to_do(plan: PassPlan, seconds: float) -> PassReport:
    return build_report(plan, PassOutcome(plan.request.table.target.version, seconds))


def checked_retry(retry: Mapping[str, int | None]) -> tuple[tuple[str, int | None], ...]:
    """Raises TableError for a status that no failure has, or a number that cannot be."""
    if not isinstance(retry, Mapping):
        raise TableError(
            f"retry={retry!r} must be a dict of status to attempts.", hint="For example retry={'timeout': 5}."
        )
    takes = [status for status in FAILURES if status != EMPTY_INPUT]  # nothing was asked
    for status, most in retry.items():
        if status not in takes:
            raise TableError(
                f"retry= has {status!r}, which is not a status that can be retried.",
                hint=f"It takes: {', '.join(takes)}.",
            )
        if most is not None and not (type(most) is int and most > 0):
            raise TableError(
                f"retry= gives {status!r} {most!r} attempts.",
                hint="Give a whole number above 0, or None for no limit.",
            )
    return tuple(sorted(retry.items()))
