"""`evaluate`: how good a model's answers are on rows whose gold answer is known.

In: a task, a model, gold answers (`Gold`). Out: an EvaluationReport and an MLflow run. Nothing is written to the table.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from sparklabel import registry
from sparklabel.delta.session import task_slots
from sparklabel.engines import EngineOptions, engine_spec
from sparklabel.errors import TableError
from sparklabel.evaluation.gold import GOLD, Gold, asked_rows, gold_column, human_gold
from sparklabel.evaluation.metrics.summary import Metrics, measure
from sparklabel.labels.record import FieldConfidence
from sparklabel.models.references import DEFAULT
from sparklabel.redaction import printable_lines
from sparklabel.sql import quote
from sparklabel.tasks import Task, check_task
from sparklabel.tasks.json_values import plain
from sparklabel.udf import LabelerSpec, labeler_spec, prepare, udf_of, worker_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationReport:
    """The result of `evaluate`; `str()` of it is a summary to print.

    Attributes:
        task: The task's name.
        model: The model's identity.
        metrics: Accuracy, its interval, the kind's own metrics, and how far the confidence can be trusted.
        without_gold: Rows that were left out because they have no gold answer.
        prompt_tokens: The mean length of a row's prompt, in tokens.
        seconds: How long the rows took, including the time to load the model.
        rows_per_second: Rows by `seconds`.
        run_id: The MLflow run that has the same figures.
        set_aside: Human answers that did not judge: a model may be trained on four fifths of the inputs, and rows that
            people were asked about because a model was uncertain are not a fair sample.
        not_asked: Rows with an answer beyond the 200,000, or the 256 MiB of answers, that are read: those that are
            asked are chosen by a hash of their inputs.
        examples: Which examples the prompts had, if the task takes them from a table.
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
    not_asked: int = 0
    examples: str = ""

    @property
    def accuracy(self) -> float:
        """The share of rows answered correctly, in [0, 1]; failed rows are wrong."""
        return self.metrics.accuracy

    def __str__(self) -> str:
        m = self.metrics
        low, high = m.accuracy_interval
        completed = (
            "" if m.accuracy_completed is None else f", {m.accuracy_completed:.1%} of the completed rows"
        )
        without = f", {self.without_gold:,} without a gold value left out" if self.without_gold else ""
        aside = f", {self.set_aside:,} human answers that do not judge left out" if self.set_aside else ""
        more = f" (a sample: {self.not_asked:,} more have an answer)" if self.not_asked else ""
        always = f"always {m.majority[0]!r}: {m.majority[1]:.1%}" if m.majority else ""
        measures = ", ".join(f"{_title(name)} {value:.3f}" for name, value in m.measures.items())
        auroc = "-" if m.confidence_auroc is None else f"{m.confidence_auroc:.3f}"
        ece = "-" if m.ece is None or m.ece_interval is None else (
            f"{m.ece:.3f} (95%: {m.ece_interval[0]:.3f} to {m.ece_interval[1]:.3f})"
        )  # fmt: skip
        return printable_lines("\n  ".join(filter(None, (
            f"{self.task}, model {self.model}, {m.n:,} rows{more}{without}{aside}",
            f"accuracy {m.accuracy:.1%} (95%: {low:.1%} to {high:.1%}){completed}; completed {m.completion_rate:.1%}",
            "; ".join(filter(None, (always, measures))),
            self.examples,
            f"confidence AUROC {auroc}, ECE {ece}{_of_fields(m)}",
            f"{self.rows_per_second:,.1f} rows/s, {self.prompt_tokens:.0f} prompt tokens a row; "
            f"MLflow run {self.run_id}",
        ))))  # fmt: skip


def _of_fields(m: Metrics) -> str:
    if m.field_ece is None:
        return ""
    auroc = "-" if m.field_auroc is None else f"{m.field_auroc:.3f}"
    return f"; of fields AUROC {auroc}, ECE {m.field_ece:.3f}"


def _title(measure: str) -> str:
    """`macro_f1` as "macro F1"."""
    return measure.replace("_", " ").replace("f1", "F1").replace("mae", "MAE")


def evaluate(
    spark: SparkSession,
    table: DataFrame | str,
    task: Task,
    *,
    gold: str | None = None,
    key: str | Sequence[str] | None = None,
    column: str | None = None,
    into: str | None = None,
    model: str = DEFAULT,
    engine: str | EngineOptions = "auto",
    adopt_examples: bool = False,
    experiment: str = registry.DEFAULT_EXPERIMENT,
    **options: Any,
) -> EvaluationReport:
    """Asks a model about rows whose gold answer is known, and measures how good its answers are.

    Gold is the column `gold`, or, without one, what people answered in a labeled table: on the held-out inputs that
    the gate of `finetune` judges on, so that two evaluations compare. The figures are also logged as an MLflow run.
    Rows that fail count as wrong.

    Args:
        spark: The session.
        table: A DataFrame, or a table's name or path.
        task: What to ask about each row.
        gold: A column of gold answers. Rows where it is NULL are left out and counted, unless NULL is an answer to the
            task. Of more than 200,000 rows, a sample is asked.
        key: Without `gold`: the column, or columns, that identify each row, unless the table remembers them.
        column: Without `gold`: the value column, if it is not named like the task.
        into: Without `gold`: the table that has the labels, if `table` has not.
        model: The model to evaluate: a name, a folder, a hub id or `models:/...`.
        engine: The engine that runs the model; "auto" chooses one.
        adopt_examples: Take examples (`examples_from`) also from a column that no pass wrote, as people's answers.
        experiment: The MLflow experiment to log to.
        **options: Options of the engine, as for `label_table`.

    Returns:
        The figures, and the id of the MLflow run.

    Raises:
        TableError: There is nothing to compare with, or the table cannot be opened.
        ColumnError: A column is missing or has the wrong type, or the table has no labels of the task.
        KeyColumnError: The key has NULLs or duplicates, in the table or in the one for the labels.
        TaskError: The task cannot be asked of this model.
        ModelError: The model does not resolve.
        SetupError: The engine, an option or MLflow is not available.
        AnswersError: No row has a gold answer, or one has a value that the task does not accept.

    All of these are raised before a model is loaded.

    Example:
        ```python
        report = sl.evaluate(spark, "tickets", intent, gold="gold", engine="fake")
        print(report.accuracy, report.metrics.accuracy_interval)
        ```
    """
    check_task(task)
    engine_spec(engine, options)  # a misspelt argument is an unknown option: refuse it before rows are read
    if gold is not None and (key or column or into):
        raise TableError(
            f"gold={gold!r} names a column of gold answers; key, column and into say where people's answers are.",
            hint="Give either gold, or key, column and into.",
        )
    truth = (
        human_gold(spark, table, task, key, column, into)
        if gold is None
        else gold_column(spark, table, task, gold)
    )
    asked = labeler_spec(task, model, engine, options, experiment=experiment)
    spec = prepare(asked, spark, adopt_examples=adopt_examples).spec
    if gold is not None:
        truth = asked_rows(truth, gold, task)
    # Opened first: what is wrong with MLflow is reported before anything is computed.
    with registry.start_run(f"evaluate {task.name}", experiment=experiment) as run:
        _log_question(run, spec, truth)
        started = time.monotonic()
        rows = _answered_rows(spark, spec, truth)
        seconds = time.monotonic() - started
        known = [GOLD, "value", "confidence", "status"]
        answers, values, confidences, statuses = ([plain(row[name]) for row in rows] for name in known)
        fields = [[FieldConfidence(**field.asDict()) for field in row["fields"] or ()] for row in rows]
        metrics = measure(task.answer_mode, answers, values, confidences, statuses, fields)
        tokens = [row["prompt_tokens"] for row in rows if row["prompt_tokens"] is not None]
        speed = {
            "rows_per_second": len(rows) / seconds,
            "prompt_tokens": sum(tokens) / len(tokens) if tokens else 0.0,
        }
        run.log_metrics(metrics.figures() | speed)
    return EvaluationReport(
        task=task.name, model=spec.model.identity, metrics=metrics, without_gold=truth.without_gold, seconds=seconds,
        run_id=run.id, set_aside=truth.set_aside, not_asked=truth.not_asked,
        examples=spec.examples.sentence if spec.examples else "", **speed,
    )  # fmt: skip


def _answered_rows(spark: SparkSession, spec: LabelerSpec, gold: Gold) -> list[Row]:
    """The gold answer of each row beside the model's: value, confidence, status, and the prompt's tokens."""
    label = udf_of(spec)(*map(quote, spec.task.inputs))
    asked = gold.rows.repartition(task_slots(spark)).withColumn("_label", label)
    with worker_errors():
        return asked.select(
            GOLD,
            "_label.value",
            "_label.confidence",
            "_label.status",
            "_label.prompt_tokens",
            F.col("_label.field_confidence").alias("fields"),
        ).collect()


def _log_question(run: registry.Run, spec: LabelerSpec, gold: Gold) -> None:
    """What is asked, of which model, and where the gold answers are."""
    if table := gold.table:
        run.log_table(table.name, location=table.location, version=table.version, context="evaluation")
    run.log_params({"task": spec.task.name, "task_fingerprint": spec.task.fingerprint,
                    "model": spec.model.identity, "engine": str(spec.engine)})  # fmt: skip
    if spec.examples:
        run.log_params({f"examples.{name}": value for name, value in spec.examples.facts.items()})
