"""Evaluation: a model's answers to rows whose right answer is known, as a report and an MLflow run.

In: a DataFrame or a table, a task, the gold column. Out: an EvaluationReport. Nothing is written to the table.
"""

import time
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, NumericType, StringType, StructType

from sparklabel import registry
from sparklabel.delta_table import open_target
from sparklabel.errors import AnswersError, ColumnError
from sparklabel.evaluation.metrics import Metrics, measure
from sparklabel.labels import quote
from sparklabel.references import DEFAULT
from sparklabel.table.chunks import task_slots
from sparklabel.table.record import same_type
from sparklabel.tasks import AnswerMode, Scored, Task, check_task
from sparklabel.tasks.json_values import plain
from sparklabel.udf import check_askable, labeler_spec, udf_of, with_examples, worker_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationReport:
    """`metrics` over the rows that have a gold value; `without_gold` are the others. `str()` of it is a summary.

    `prompt_tokens` is the mean of a row's prompt; `rows_per_second` counts from the job's start, the model's loading
    included.
    """

    task: str
    model: str
    metrics: Metrics
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
        without = f", {self.without_gold:,} without a gold value left out" if self.without_gold else ""
        always = f"always {m.majority[0]!r}: {m.majority[1]:.1%}" if m.majority else ""
        measures = ", ".join(f"{_title(name)} {value:.3f}" for name, value in m.measures.items())
        auroc = "-" if m.confidence_auroc is None else f"{m.confidence_auroc:.3f}"
        ece = "-" if m.ece is None or m.ece_interval is None else (
            f"{m.ece:.3f} (95%: {m.ece_interval[0]:.3f} to {m.ece_interval[1]:.3f})"
        )  # fmt: skip
        return "\n  ".join(filter(None, (
            f"{self.task}, model {self.model}, {m.n:,} rows{without}",
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
    gold: str,
    model: str = DEFAULT,
    engine: str = "auto",
    *,
    experiment: str = "sparklabel",
    **options: Any,
) -> EvaluationReport:
    """Asks `model` every row and compares with the column `gold`; also an MLflow run with the figures.

    Rows whose gold is NULL are left out and counted, unless NULL is an answer to the task. A row that fails counts as
    wrong. `options` go to the engine. Raises TableError, ColumnError, TaskError, ModelError or SetupError before a
    model is loaded, and AnswersError when no row has a gold value, or one has a gold value that the task does not take
    as an answer.
    """
    check_task(task)
    mode = task.answer_mode
    target = open_target(spark, df_or_table) if isinstance(df_or_table, str) else None
    frame = target.read(spark) if target else df_or_table
    assert not isinstance(frame, str)
    _check_columns(frame, (*task.inputs, gold))
    _check_type(frame, gold, task)
    spec = with_examples(labeler_spec(task, model, engine, options), spark)
    check_askable(spec)
    registry.connect()  # where MLflow is missing, that is said before anything is computed
    started = time.monotonic()
    label = udf_of(spec)(*map(quote, task.inputs))
    asked = frame.select(F.col(quote(gold)).cast(task.value_type).alias("_gold"), *map(quote, task.inputs))
    without_gold = _check_gold(asked, gold, mode)
    asked = (
        (asked if mode.accepts(None) else asked.where("_gold IS NOT NULL"))
        .repartition(task_slots(spark))
        .withColumn("_label", label)
    )
    with worker_errors():
        rows = asked.select(
            "_gold", "_label.value", "_label.confidence", "_label.status", "_label.prompt_tokens"
        ).collect()
    seconds = time.monotonic() - started
    columns = ([plain(row[name]) for row in rows] for name in ("_gold", "value", "confidence", "status"))
    metrics = measure(mode, *columns)
    tokens = [row["prompt_tokens"] for row in rows if row["prompt_tokens"] is not None]
    mean_tokens = sum(tokens) / len(tokens) if tokens else 0.0
    with registry.start_run(f"evaluate {task.name}", experiment=experiment) as run:
        if target:
            run.log_table(target.name, location=target.location, version=target.version, context="evaluation")
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
    )  # fmt: skip


def _check_gold(asked: DataFrame, gold: str, mode: AnswerMode) -> int:
    """How many rows have no gold value. Raises AnswersError."""
    counts = [(plain(row["_gold"]), int(row["count"])) for row in asked.groupBy("_gold").count().collect()]
    without = 0 if mode.accepts(None) else sum(count for value, count in counts if value is None)
    if not counts or (without and all(value is None for value, _ in counts)):
        raise AnswersError(f"There is nothing to evaluate: {gold!r} is NULL in every row.")
    wrong = [(value, count) for value, count in counts if value is not None and not mode.accepts(value)]
    if wrong:
        raise AnswersError(
            f"{gold!r} holds {wrong[0][0]!r}, which is not {_an_answer(mode)}",
            hint=f"Leave these {sum(count for _, count in wrong):,} row(s) out, or make the column NULL there.",
        )
    return without


def _an_answer(mode: AnswerMode) -> str:
    if not isinstance(mode, Scored) or mode.groups:
        return "an answer to the task."
    more = ", ..." if len(mode.names) > 10 else "."
    return f"one of the answers: {', '.join(mode.names[:10])}{more}"


def _check_type(frame: DataFrame, gold: str, task: Task) -> None:
    """Raises ColumnError where gold is of another type than the task's values; numbers of every type are taken, and
    text is made of anything that is one value."""
    found, wanted = frame.select(quote(gold)).schema[0].dataType, DataType.fromDDL(task.value_type)
    fits = (
        same_type(found, wanted)
        or (isinstance(wanted, NumericType) and isinstance(found, NumericType))
        or (isinstance(wanted, StringType) and not isinstance(found, ArrayType | StructType))
    )
    if not fits:
        raise ColumnError(
            f"{gold!r} is {found.simpleString()}, and the task's values are {wanted.simpleString()}.",
            hint="Compare with a column of that type.",
        )


def _check_columns(frame: DataFrame, names: tuple[str, ...]) -> None:
    there = {column.lower() for column in frame.columns}
    if missing := [name for name in names if name.lower() not in there]:
        raise ColumnError(
            f"There is no column {missing[0]!r} to evaluate.", hint=f"There are: {', '.join(frame.columns)}."
        )
