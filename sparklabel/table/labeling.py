"""`label_table`: the pending rows of a table answered in place.

In: a table, a task, a key, a model. Out: a PassReport. Everything is checked here before anything is loaded or written;
what a pass then does is in running.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import SparkSession

from sparklabel.errors import TableError
from sparklabel.example_source import check_examples
from sparklabel.labels import FAILURES, RELABEL
from sparklabel.references import DEFAULT
from sparklabel.table.brakes import Brakes
from sparklabel.table.opening import open_task_table
from sparklabel.table.price import Price
from sparklabel.table.report import PassReport
from sparklabel.table.running import Pass, Scope
from sparklabel.table.staging import check_staging
from sparklabel.tasks import Task
from sparklabel.udf import labeler_spec


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
    into: str | None = None,
    dry_run: bool = False,
    min_confidence: float = 0.0,
    max_rows: int | None = None,
    max_seconds: float | None = None,
    max_error_ratio: float = 0.5,
    on_drift: str = "warn",
    cost_per_hour: float | None = None,
    cost_per_million_tokens: float | None = None,
    retry: Mapping[str, int | None] | None = None,
    staging: str | None = None,
    experiment: str = "sparklabel",
    progress: bool = True,
    **options: Any,
) -> PassReport:
    """Labels the pending rows of a Delta table in place, in two columns: the task's name, and the record beside it.

    `table` is a name or a path; `key` a column, or several, that name each row once; `where` a SQL condition that
    narrows the pass. Pending is what has no answer, whose input changed, that failed in a way worth another try, and
    with relabel="task" what an earlier version of the task answered, with "model" also what another model answered;
    "none" leaves both. Human answers are kept, whatever changed. `column` names the value column otherwise;
    `adopt=True` takes an existing column as human answers. `into` names a table of key and labels, made where it is
    missing: `table`, which may be a view then, is only read. `dry_run` writes nothing and loads no model. An answer
    with less than `min_confidence` is withheld: status `uncertain`, a NULL value, the best guess in `alternatives`.

    The pass ends early, says so in its report, and has written what it answered: after `max_rows` distinct inputs,
    after the chunk in which `max_seconds` have passed, on Ctrl-C, and when the engine failed on a larger share of the
    inputs than `max_error_ratio`. Where the first chunk's answers are spread otherwise than those in the table, the
    report says so; `on_drift="stop"` ends the pass then, and writes nothing. Called again after any of this or any
    death it goes on: answers that wait in `staging` (a folder; inside the table's by default) are not computed twice.
    `options` go to the engine.

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
    brakes = Brakes(max_error_ratio, max_rows, max_seconds, on_drift)
    check_staging(staging)
    price = Price(cost_per_hour, cost_per_million_tokens)
    opened = open_task_table(spark, table, task, key, column, adopt, into)
    spec = labeler_spec(task, model, engine, options, min_confidence)
    labeling = Pass(
        spark,
        spec,
        opened,
        Scope(relabel, where, staging, checked_retry({} if retry is None else retry)),
        brakes,
        price,
        experiment,
    )
    if not spec.card:
        check_examples(spark, task)
    plan = labeling.plan()
    if dry_run or not (plan.pending or plan.unstamped):
        return labeling.report(plan, dry_run=dry_run)
    return labeling.run(plan, progress)


def checked_retry(retry: Mapping[str, int | None]) -> tuple[tuple[str, int | None], ...]:
    """Raises TableError for a status that no failure has, or a number that cannot be."""
    if not isinstance(retry, Mapping):
        raise TableError(
            f"retry={retry!r} is no mapping.", hint="Say of a status how often: retry={'timeout': 5}."
        )
    for status, most in retry.items():
        if status not in FAILURES:
            raise TableError(f"retry= has {status!r}.", hint=f"It takes: {', '.join(FAILURES)}.")
        if most is not None and not (type(most) is int and most > 0):
            raise TableError(
                f"retry= gives {status!r} {most!r} attempts.",
                hint="Give a whole number above 0, or None for no limit.",
            )
    return tuple(sorted(retry.items()))
