"""`label_table`: the pending rows of a table answered in place.

In: a table, a task or several, a key, a model. Out: a PassReport for each task. Everything is checked here before
anything is loaded or written; what a pass then does is in running.py.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, overload

from pyspark.sql import SparkSession

from sparklabel.delta.snapshot import check_folders
from sparklabel.errors import ColumnError, TableError, TaskError
from sparklabel.labeling.build_report import build_report, dry_run_report
from sparklabel.labeling.executor import run_passes
from sparklabel.labeling.limits import DEFAULT_ERROR_RATIO, PassLimits
from sparklabel.labeling.options import Pricing, StorageOptions, check_flags
from sparklabel.labeling.outcome import PassOutcome
from sparklabel.labeling.plan import PassPlan, make_plan
from sparklabel.labeling.report import PassReport
from sparklabel.labeling.request import PassRequest
from sparklabel.labels.predicates import RELABEL
from sparklabel.labels.status import EMPTY_INPUT, FAILURES
from sparklabel.models.references import DEFAULT
from sparklabel.table.examples import check_examples
from sparklabel.table.row_states import Scope
from sparklabel.table.task_table import open_task_tables
from sparklabel.tasks import Task, check_task
from sparklabel.udf import labeler_spec


@overload
def label_table(
    spark: SparkSession, table: str, task: Task, *, key: str | Sequence[str] | None = None, **arguments: Any
) -> PassReport: ...
@overload
def label_table(
    spark: SparkSession,
    table: str,
    task: Sequence[Task],
    *,
    key: str | Sequence[str] | None = None,
    **arguments: Any,
) -> list[PassReport]: ...
def label_table(
    spark: SparkSession,
    table: str,
    task: Task | Sequence[Task],
    *,
    key: str | Sequence[str] | None = None,
    model: str | Mapping[str, str] = DEFAULT,
    engine: str = "auto",
    where: str | None = None,
    relabel: str = "task",
    column: str | None = None,
    adopt: bool = False,
    into: str | None = None,
    dry_run: bool = False,
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
    experiment: str = "sparklabel",
    progress: bool = True,
    **options: Any,
) -> PassReport | list[PassReport]:
    """Labels the pending rows of a Delta table in place, in two columns: the task's name, and the record beside it.

    `table` is a name or a path; `key` a column, or several, that name each row once; `where` a SQL condition that
    narrows the pass. Pending is what has no answer, whose input changed, that failed in a way worth another try, and
    with relabel="task" what an earlier version of the task answered, with "model" also what another model answered;
    "none" leaves both. Human answers are kept, whatever changed. `column` names the value column otherwise;
    `adopt=True` takes an existing column as human answers. `into` names a table of key and labels, made where it is
    missing: `table`, which may be a view then, is only read. `dry_run` writes nothing and loads no model. An answer
    with less than `min_confidence` is withheld: status `uncertain`, a NULL value, the best guess in `alternatives`.

    Several tasks are answered one after the other, each in a pass of its own, and written by one MERGE; a report each.
    `model` may give each task, by its name, a model of its own then.

    At most `max_rows` distinct inputs are asked. The pass ends early, says so in its report, and has written what it
    answered: after the chunk in which `max_seconds` have passed, on Ctrl-C, and when the engine failed on a larger
    share of the inputs than `max_error_ratio`. Where the first chunk's answers are spread otherwise than those in the
    table, the report says so; `on_drift="stop"` ends the pass then, and writes nothing. Called again after any of this
    or any death it goes on: answers that wait in `staging` (a folder; inside the table's by default) are not computed
    twice. Answers are kept in a `cache`, True: inside the table's folder, or a folder that several tables share; one to
    the same prompt, inputs, model, engine and its options is not computed again. `options` go to the engine.

    A value that differs from its record is a correction by a person; with more than `max_new_corrections` of them that
    do not say so the pass is refused. `deletion_vectors` switches these on in the table: a MERGE then leaves the files
    of rows that do not change alone, and readers that do not know them are locked out.

    Where there is an MLflow store, the pass is a run of `experiment`; each chunk is a JSON line of the logger
    `sparklabel.pass`. `cost_per_hour` (of what computes) and `cost_per_million_tokens` make the report say what it
    cost, or would. `retry` says how often rows with a status are asked at most: {"invalid_output": 3} asks such rows
    twice more, and {"timeout": 5} gives those up after five attempts, which are otherwise asked in each pass, as those
    with `engine_error` are.

    Raises TableError, ColumnError, KeyColumnError, TaskError, ModelError or SetupError before anything is loaded or
    written; ConflictError where another pass works on the same rows, or other writers kept winning.
    """
    if relabel not in RELABEL:
        raise TableError(f"relabel={relabel!r} is not known.", hint=f"Use one of: {', '.join(RELABEL)}.")
    check_flags(adopt=adopt, dry_run=dry_run)
    limits = PassLimits(max_error_ratio, max_rows, max_seconds, on_drift, max_new_corrections)
    storage = StorageOptions(staging, cache, deletion_vectors)
    pricing = Pricing(cost_per_hour, cost_per_million_tokens)
    scope = Scope(relabel, where, checked_retry({} if retry is None else retry))
    tasks = _tasks(task, column)
    models = _models(tasks, model)
    _check_columns_apart(tasks, [(one.name, f"{one.name}_label") for one in tasks])
    began = time.monotonic()
    check_folders(spark, staging=staging, cache=cache)
    opened = open_task_tables(spark, table, tasks, key, column, adopt, into)
    _check_columns_apart(tasks, [(one.label_columns.value, one.label_columns.label) for one in opened])
    requests = []
    for one, found in zip(tasks, opened, strict=True):
        spec = labeler_spec(one, models[one.name], engine, options, min_confidence)
        requests.append(PassRequest(spec, found, scope, limits, pricing, storage, experiment))
        if not spec.manifest:
            check_examples(spark, one)
    plans = [make_plan(spark, request) for request in requests]
    refusals = [_refusal(plan, adopt) for plan in plans]
    if dry_run:
        seconds = (time.monotonic() - began) / len(plans)
        reports = [dry_run_report(plan, seconds, no) for plan, no in zip(plans, refusals, strict=True)]
    elif refusal := next(filter(None, refusals), None):
        raise refusal
    elif any(plan.pending or plan.unattributed for plan in plans):
        reports = run_passes(spark, plans, progress)
    else:
        reports = [_nothing_to_do(plan, (time.monotonic() - began) / len(plans)) for plan in plans]
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


def _tasks(task: Task | Sequence[Task], column: str | None) -> list[Task]:
    if not isinstance(task, list | tuple):
        task = [task]  # type: ignore[list-item]  # what is no task is refused below
    if not task:
        raise TaskError("task=[] has no task.")
    for one in task:
        check_task(one)
    names = [one.name.lower() for one in task]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise TaskError(f"Two of the tasks have the name {twice!r}.")
    if column is not None and len(task) > 1:
        raise ColumnError(
            "column= names the column of one task, and several were given.", hint="Label that one apart."
        )
    return list(task)


def _models(tasks: Sequence[Task], model: str | Mapping[str, str]) -> dict[str, str]:
    if not isinstance(model, Mapping):
        return {one.name: model for one in tasks}
    names = [one.name for one in tasks]
    if sorted(model) != sorted(names):
        raise TaskError(
            f"model= names models for {', '.join(sorted(model)) or 'no task'}, and the tasks are {', '.join(names)}.",
            hint="Name one for each task, or give one model for all.",
        )
    if wrong := next((name for name, one in model.items() if not isinstance(one, str)), None):
        raise TaskError(f"model= gives the task {wrong!r} {model[wrong]!r}, which is no model's name.")
    return dict(model)


def _check_columns_apart(tasks: Sequence[Task], columns: Sequence[tuple[str, str]]) -> None:
    """Of each task's own two columns, none is another's, or what another reads: it would read the row as it was."""
    label_columns = [name.lower() for pair in columns for name in pair]
    for task in tasks if len(tasks) > 1 else ():
        if read := next((name for name in task.inputs if name.lower() in label_columns), None):
            raise ColumnError(
                f"The task {task.name!r} reads {read!r}, which another of the tasks writes.",
                hint="Label one after the other, in two calls: the second reads what the first wrote.",
            )
    if twice := next((name for name in label_columns if label_columns.count(name) > 1), None):
        raise ColumnError(
            f"Two of the tasks write the column {twice!r}.", hint="Label one of them apart, with column=."
        )


def checked_retry(retry: Mapping[str, int | None]) -> tuple[tuple[str, int | None], ...]:
    """Raises TableError for a status that no failure has, or a number that cannot be."""
    if not isinstance(retry, Mapping):
        raise TableError(
            f"retry={retry!r} must be a dict of status to attempts.", hint="For example retry={'timeout': 5}."
        )
    takes = [status for status in FAILURES if status != EMPTY_INPUT]  # nothing was asked
    for status, most in retry.items():
        if status not in takes:
            raise TableError(f"retry= has {status!r}.", hint=f"It takes: {', '.join(takes)}.")
        if most is not None and not (type(most) is int and most > 0):
            raise TableError(
                f"retry= gives {status!r} {most!r} attempts.",
                hint="Give a whole number above 0, or None for no limit.",
            )
    return tuple(sorted(retry.items()))
