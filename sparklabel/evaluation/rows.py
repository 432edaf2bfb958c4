"""Evaluation: a model's answers to rows whose right answer is known, as a report and an MLflow run.

In: a DataFrame or a table, a task, the gold column. Out: an EvaluationReport. Nothing is written to the table.
"""

import time
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparklabel import registry
from sparklabel.errors import AnswersError, ColumnError, TaskError
from sparklabel.evaluation.metrics import ClassificationMetrics, classification_metrics
from sparklabel.labels import quote
from sparklabel.references import DEFAULT
from sparklabel.table.chunks import task_slots
from sparklabel.table.target import open_target
from sparklabel.tasks import Scored, Task, scored
from sparklabel.udf import check_askable, labeler_spec, udf_of, worker_errors

_METRICS = {"classification": classification_metrics}
"""The measures that an answer mode may name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationReport:
    """`metrics` over the rows that have a gold value; `without_gold` are the others. `str()` of it is a summary.

    `prompt_tokens` is the mean of a row's prompt; `rows_per_second` counts from the job's start, the model's loading
    included.
    """

    task: str
    model: str
    metrics: ClassificationMetrics
    without_gold: int
    prompt_tokens: float
    seconds: float
    rows_per_second: float
    run_id: str

    @property
    def accuracy(self) -> float:
        """Failures count as wrong."""
        return self.metrics.accuracy

    def __str__(self) -> str:
        m = self.metrics
        low, high = m.accuracy_interval
        completed = "" if m.accuracy_completed is None else f", {m.accuracy_completed:.1%} of those completed"
        auroc = "-" if m.confidence_auroc is None else f"{m.confidence_auroc:.3f}"
        ece = "-" if m.ece is None or m.ece_interval is None else (
            f"{m.ece:.3f} (95%: {m.ece_interval[0]:.3f} to {m.ece_interval[1]:.3f})"
        )  # fmt: skip
        without = f", {self.without_gold:,} without a gold value left out" if self.without_gold else ""
        return "\n  ".join((
            f"{self.task}, model {self.model}, {m.n:,} rows{without}",
            f"accuracy {m.accuracy:.1%} (95%: {low:.1%} to {high:.1%}){completed}; completed {m.completion_rate:.1%}",
            f"always {m.majority_label!r}: {m.majority_accuracy:.1%}; macro F1 {m.macro_f1:.3f}",
            f"confidence AUROC {auroc}, ECE {ece}",
            f"{self.rows_per_second:,.1f} rows/s, {self.prompt_tokens:.0f} prompt tokens a row; "
            f"MLflow run {self.run_id}",
        ))  # fmt: skip


def evaluate(
    spark: SparkSession,
    df_or_table: DataFrame | str,
    task: Task,
    gold: str,
    model: str = DEFAULT,
    engine: str = "auto",
    *,
    experiment: str = "sparklabel",
    **options: Any,
) -> EvaluationReport:
    """Asks `model` every row and compares with the column `gold`; also an MLflow run with the figures.

    Rows whose gold is NULL are left out and counted. A row that fails counts as wrong. `options` go to the engine.
    Raises TableError, ColumnError, TaskError, ModelError or SetupError before a model is loaded, and AnswersError when
    no row has a gold value, or one has a gold value that the task does not take as an answer.
    """
    mode = scored(task, "evaluated")
    if mode.metrics not in _METRICS:
        raise TaskError(f"A task of kind {task.kind!r} cannot be evaluated yet.")
    target = open_target(spark, df_or_table) if isinstance(df_or_table, str) else None
    frame = target.read(spark) if target else df_or_table
    assert not isinstance(frame, str)
    _check_columns(frame, (*task.inputs, gold))
    spec = labeler_spec(task, model, engine, options)
    check_askable(spec)
    registry.connect()  # where MLflow is missing, that is said before anything is computed
    started = time.monotonic()
    label = udf_of(spec)(*map(quote, task.inputs))
    asked = frame.select(F.col(quote(gold)).cast(task.value_type).alias("_gold"), *map(quote, task.inputs))
    without_gold = _check_gold(asked, gold, mode)
    asked = asked.where("_gold IS NOT NULL").repartition(task_slots(spark)).withColumn("_label", label)
    with worker_errors():
        rows = asked.select(
            "_gold", "_label.value", "_label.confidence", "_label.status", "_label.prompt_tokens"
        ).collect()
    seconds = time.monotonic() - started
    metrics = _METRICS[mode.metrics](
        *([row[name] for row in rows] for name in ("_gold", "value", "confidence", "status")),
        labels=mode.choices,
    )
    tokens = [row["prompt_tokens"] for row in rows if row["prompt_tokens"] is not None]
    mean_tokens = sum(tokens) / len(tokens) if tokens else 0.0
    with registry.start_run(f"evaluate {task.name}", experiment=experiment) as run:
        if target:
            run.log_table(target.name, location=target.location, version=target.version, context="evaluation")
        run.log_params({"task": task.name, "task_fingerprint": task.fingerprint, "model": spec.model.identity,
                        "engine": str(spec.engine)})  # fmt: skip
        run.log_metrics(
            {**metrics.figures(), "rows_per_second": len(rows) / seconds, "prompt_tokens": mean_tokens}
        )
    return EvaluationReport(
        task=task.name, model=spec.model.identity, metrics=metrics, without_gold=without_gold,
        prompt_tokens=mean_tokens, seconds=seconds, rows_per_second=len(rows) / seconds, run_id=run.id,
    )  # fmt: skip


def _check_gold(asked: DataFrame, gold: str, mode: Scored) -> int:
    """How many rows have no gold value. Raises AnswersError."""
    counts = {row["_gold"]: row["count"] for row in asked.groupBy("_gold").count().collect()}
    without = int(counts.pop(None, 0))
    if not counts:
        raise AnswersError(f"There is nothing to evaluate: {gold!r} is NULL in every row.")
    if wrong := [value for value in counts if not mode.chosen(value)]:
        raise AnswersError(
            f"{gold!r} holds {wrong[0]!r}, which is not one of the answers: {', '.join(mode.names[:10])}"
            f"{', ...' if len(mode.names) > 10 else '.'}",
            hint=f"Leave these {sum(counts[value] for value in wrong):,} row(s) out, or make the column NULL there.",
        )
    return without


def _check_columns(frame: DataFrame, names: tuple[str, ...]) -> None:
    there = {column.lower() for column in frame.columns}
    if missing := [name for name in names if name.lower() not in there]:
        raise ColumnError(
            f"There is no column {missing[0]!r} to evaluate.", hint=f"There are: {', '.join(frame.columns)}."
        )
