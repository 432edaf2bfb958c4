"""Calibration: confidence that means what it says, learned from people's answers.

In: answers of a model with its own probabilities, and whether people say the same. Out: a calibrator, logged to
MLflow, and the table's `confidence` computed anew from what its records hold. No model is loaded, no value changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparklabel import registry
from sparklabel.confidence.calibrators import Calibrator, others_of
from sparklabel.confidence.fit import Judged, confidences, fit_calibrator
from sparklabel.delta.commits import commit_metadata, retry_on_conflict
from sparklabel.errors import AnswersError, ModelError
from sparklabel.evaluation.metrics.confidence import calibration_error
from sparklabel.labels.predicates import model_value_sql
from sparklabel.labels.record import Alternative
from sparklabel.labels.status import ANSWERED, UNCERTAIN
from sparklabel.models.manifest import AdapterManifest
from sparklabel.sql import quote, sql_list, sql_string
from sparklabel.table.row_states import STATE, Scope, row_states
from sparklabel.table.task_table import TaskTable, open_task_table
from sparklabel.tasks import Task, has_choices
from sparklabel.tasks.json_values import plain


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationReport:
    """What `calibrate` found; `str()` of it is a summary. The errors are expected calibration errors on the answers
    that it learned from; `rows` have a new confidence."""

    table: str
    task: str
    model: str
    answers: int
    right: int
    calibrator: Calibrator
    error_before: float
    error_after: float
    rows: int
    run_id: str

    def __str__(self) -> str:
        return "\n  ".join((
            f"{self.table}: task {self.task}, model {self.model}",
            f"{self.answers:,} answers judged by people, {self.right / self.answers:.1%} right: {self.calibrator}",
            f"expected calibration error {self.error_before:.3f} -> {self.error_after:.3f} on these answers",
            f"{self.rows:,} rows have a new confidence; passes with this model and task use it from now on "
            f"(MLflow run {self.run_id})",
        ))  # fmt: skip


def calibrate(
    spark: SparkSession,
    table: str,
    task: Task,
    *,
    key: str | Sequence[str] | None = None,
    model: str | None = None,
    column: str | None = None,
    into: str | None = None,
    experiment: str = "sparklabel",
) -> CalibrationReport:
    """Fits a calibrator on the human answers of a table, logs it to MLflow, and computes `confidence` anew.

    Learns from rows whose record holds an answer of `model` (a reference, or what `intent_label.model` says; by default
    the one with most such rows) to the task and text of today, and whose value people corrected or confirmed. Rows that
    were chosen because the model was uncertain (`review_reason = 'queue'`) are left out: they are no fair sample. All
    rows with answers of this model to this task get a new confidence; later passes use the calibrator too.

    Raises AnswersError, TableError, ColumnError, KeyColumnError or SetupError before anything is written.
    """
    opened = open_task_table(spark, table, task, key, column, into=into)
    if opened.label_columns.missing:
        raise AnswersError(
            f"{table} has no labels of the task {task.name!r}.",
            hint="Label it first: sparklabel.label_table(...).",
        )
    answers = _judged_rows(spark, opened, task)
    if model is None:  # the identity that most records name
        counts = answers.groupBy("model").count().orderBy(F.desc("count"), "model").limit(1).collect()
        if not counts:
            raise AnswersError(
                f"{table} has no human answers to what a model said of the task {task.name!r} as it is now.",
                hint="Label it with the task of today, then correct and confirm rows that are drawn at random.",
            )
        model = counts[0]["model"]
    elif not answers.where(F.col("model") == model).take(1):
        model = registry.resolve(model).identity
    judged = _judged(answers.where(F.col("model") == model), task)
    calibrator = fit_calibrator(judged, choices=has_choices(task))
    right = np.array([one.right for one in judged])
    before, after = (
        calibration_error(p, right) or 0.0
        for p in (np.array([one.raw for one in judged]), confidences(calibrator, judged))
    )
    with registry.start_run(f"calibrate {task.name}", experiment=experiment) as run:
        run.log_table(
            opened.target.name,
            location=opened.target.location,
            version=opened.target.version,
            context="calibration",
        )
        run.log_params({"task": task.name, "task_fingerprint": task.fingerprint, "model": model,
                        "answers": len(judged), "calibrator": calibrator.to_dict()})  # fmt: skip
        run.log_metrics({"ece_before": before, "ece_after": after})
        rows = _rewrite(spark, opened, task, model, calibrator)
        registry.log_calibrator(run, model, _asked_as(model, task), calibrator)
    return CalibrationReport(
        table=table, task=task.name, model=model, answers=len(judged), right=int(right.sum()), calibrator=calibrator,
        error_before=before, error_after=after, rows=rows, run_id=run.id,
    )  # fmt: skip


def _asked_as(model: str, task: Task) -> str:
    """The fingerprint that passes look a calibrator up by: that of the prompt which a fine-tuned model carries."""
    if not model.startswith("models:/"):
        return task.fingerprint
    try:
        manifest = registry.resolve(model).manifest
    except ModelError:
        return task.fingerprint
    return AdapterManifest.from_json(manifest).task_fingerprint if manifest else task.fingerprint


def _judged_rows(spark: SparkSession, opened: TaskTable, task: Task) -> DataFrame:
    """Human answers to what the record's model answered too: model, what it said, what the person says."""
    label = quote(opened.label_columns.label)
    known = sql_list((*ANSWERED, UNCERTAIN))
    states = row_states(spark, opened, task, Scope(relabel="none"))
    fair = (
        f"{label}.labeled_at IS NOT NULL AND {label}.raw_confidence IS NOT NULL AND {label}.status IN ({known}) "
        f"AND {label}.task_fingerprint = {sql_string(task.fingerprint)} AND NOT ({label}.review_reason <=> 'queue')"
    )
    return states.where((F.col(STATE) == "human") & F.expr(fair)).select(
        F.expr(f"{label}.model").alias("model"), F.expr(model_value_sql(label)).alias("said"),
        F.expr(f"{label}.raw_confidence").alias("raw"), F.expr(f"{label}.alternatives").alias("alternatives"),
        F.col(quote(opened.label_columns.value)).alias("answer"),
    )  # fmt: skip


def _judged(answers: DataFrame, task: Task) -> list[Judged]:
    mode = task.answer_mode
    found = []
    for row in answers.collect():
        said, answer = plain(row["said"]), plain(row["answer"])
        if mode.accepts(answer):
            alternatives = [
                Alternative(a["value"], a["probability"]) for a in plain(row["alternatives"]) or ()
            ]
            others = tuple(others_of(row["raw"], alternatives))
            found.append(Judged(row["raw"], others, mode.agreement(answer, said) == 1))
    return found


def _rewrite(spark: SparkSession, opened: TaskTable, task: Task, model: str, calibrator: Calibrator) -> int:
    label = quote(opened.label_columns.label)
    update = (
        f"UPDATE {opened.target.sql} SET {label}.confidence = {calibrator.sql(label)} WHERE {label}.model = "
        f"{sql_string(model)} AND {label}.task_fingerprint = {sql_string(task.fingerprint)} "
        f"AND {label}.raw_confidence IS NOT NULL"
    )

    def commit() -> int:
        with commit_metadata(spark, calibrated=task.name, model=model, task_fingerprint=task.fingerprint):
            return int(spark.sql(update).collect()[0]["num_affected_rows"])

    return retry_on_conflict(commit, f"Updating {opened.target.name}")
