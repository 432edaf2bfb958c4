"""Evaluation: a model's answers to rows whose right answer is known, as a report and an MLflow run.

In: a task, a model, right answers (gold.py). Out: an EvaluationReport. Nothing is written to the table.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from sparklabel import registry
from sparklabel.delta.session import task_slots
from sparklabel.engines import EngineOptions
from sparklabel.errors import TableError
from sparklabel.evaluation.gold import GOLD, gold_column, human_gold
from sparklabel.evaluation.metrics.summary import Metrics, measure
from sparklabel.models.references import DEFAULT
from sparklabel.sql import quote
from sparklabel.tasks import Task, check_task
from sparklabel.tasks.json_values import plain
from sparklabel.udf import check_askable, labeler_spec, udf_of, with_examples, worker_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationReport:
    """`metrics` over the rows that have a gold value; `without_gold` have none. `str()` of it is a summary.

    `set_aside` are human answers that do not judge: four fifths of the inputs may train a model, and rows that were
    asked for because a model was uncertain are no fair sample. `prompt_tokens` is the mean of a row's prompt;
    `rows_per_second` counts from the job's start, the model's loading included.
    """

    task: str
    model: str
    metrics: Metrics
    without_gold: int
    prompt_tokens: float
    seconds: float
    rows_per_second: float
    run_id: str
    set_aside: int = 0

    @property
    def accuracy(self) -> float:
        """Failures count as wrong."""
        return self.metrics.accuracy

    def __str__(self) -> str:
        m = self.metrics
        low, high = m.accuracy_interval
        completed = "" if m.accuracy_completed is None else f", {m.accuracy_completed:.1%} of those completed"
        without = f", {self.without_gold:,} without a gold value left out" if self.without_gold else ""
        aside = f", {self.set_aside:,} human answers that do not judge set aside" if self.set_aside else ""
        always = f"always {m.majority[0]!r}: {m.majority[1]:.1%}" if m.majority else ""
        measures = ", ".join(f"{_title(name)} {value:.3f}" for name, value in m.measures.items())
        auroc = "-" if m.confidence_auroc is None else f"{m.confidence_auroc:.3f}"
        ece = "-" if m.ece is None or m.ece_interval is None else (
            f"{m.ece:.3f} (95%: {m.ece_interval[0]:.3f} to {m.ece_interval[1]:.3f})"
        )  # fmt: skip
        return "\n  ".join(filter(None, (
            f"{self.task}, model {self.model}, {m.n:,} rows{without}{aside}",
            f"accuracy {m.accuracy:.1%} (95%: {low:.1%} to {high:.1%}){completed}; completed {m.completion_rate:.1%}",
            "; ".join(filter(None, (always, measures))),
            f"confidence AUROC {auroc}, ECE {ece}",
            f"{self.rows_per_second:,.1f} rows/s, {self.prompt_tokens:.0f} prompt tokens a row; "
            f"MLflow run {self.run_id}",
        )))  # fmt: skip


def _title(measure: str) -> str:
    """`macro_f1` is read as "macro F1"."""
    return measure.replace("_", " ").replace("f1", "F1").replace("mae", "MAE")


def evaluate(
    spark: SparkSession,
    df_or_table: DataFrame | str,
    task: Task,
    gold: str | None = None,
    model: str = DEFAULT,
    engine: str | EngineOptions = "auto",
    *,
    key: str | Sequence[str] | None = None,
    column: str | None = None,
    into: str | None = None,
    experiment: str = "sparklabel",
    **options: Any,
) -> EvaluationReport:
    """Asks `model` every row that has a right answer, and compares; also an MLflow run with the figures.

    Right is what the column `gold` says. Rows whose gold is NULL are left out and counted, unless NULL is an answer to
    the task. Without `gold`, right is what people answered in a labelled table (`key`, `column` and `into` as
    `label_table` had them), on the rows that the gate of `finetune` judges on. A row that fails counts as wrong.
    `options` go to the engine. Raises TableError, ColumnError, KeyColumnError, TaskError, ModelError or SetupError
    before a model is loaded, and AnswersError when no row has a right answer, or one has a value that the task does not
    take as an answer.
    """
    check_task(task)
    mode = task.answer_mode
    if gold is not None and (key or column or into):
        raise TableError(
            f"gold={gold!r} says what is right, and key, column or into where people's answers are.",
            hint="Leave gold out, or them.",
        )
    right = (
        human_gold(spark, df_or_table, task, key, column, into)
        if gold is None
        else gold_column(spark, df_or_table, task, gold)
    )
    spec = with_examples(labeler_spec(task, model, engine, options), spark)
    check_askable(spec)
    registry.connect()  # where MLflow is missing, that is said before anything is computed
    started = time.monotonic()
    judging, without_gold = right.judging(mode)
    label = udf_of(spec)(*map(quote, task.inputs))
    asked = judging.repartition(task_slots(spark)).withColumn("_label", label)
    with worker_errors():
        rows = asked.select(
            GOLD, "_label.value", "_label.confidence", "_label.status", "_label.prompt_tokens"
        ).collect()
    seconds = time.monotonic() - started
    columns = ([plain(row[name]) for row in rows] for name in (GOLD, "value", "confidence", "status"))
    metrics = measure(mode, *columns)
    tokens = [row["prompt_tokens"] for row in rows if row["prompt_tokens"] is not None]
    mean_tokens = sum(tokens) / len(tokens) if tokens else 0.0
    with registry.start_run(f"evaluate {task.name}", experiment=experiment) as run:
        if table := right.table:
            run.log_table(table.name, location=table.location, version=table.version, context="evaluation")
        run.log_params({"task": task.name, "task_fingerprint": task.fingerprint, "model": spec.model.identity,
                        "engine": str(spec.engine)})  # fmt: skip
        if spec.examples:
            run.log_params({f"examples.{name}": value for name, value in spec.examples.facts.items()})
        run.log_metrics(
            {**metrics.figures(), "rows_per_second": len(rows) / seconds, "prompt_tokens": mean_tokens}
        )
    return EvaluationReport(
        task=task.name, model=spec.model.identity, metrics=metrics, without_gold=without_gold,
        prompt_tokens=mean_tokens, seconds=seconds, rows_per_second=len(rows) / seconds, run_id=run.id,
        set_aside=right.set_aside,
    )  # fmt: skip
