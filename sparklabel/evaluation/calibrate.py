"""`calibrate`: makes confidence the share of such answers that are correct, as people's answers show it.

In: answers of a model with its own probabilities, and what people answered instead. Out: a calibrator, logged to
MLflow, and the table's `confidence`, recomputed from its records. No model is loaded, and no value changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from sparklabel import registry
from sparklabel.confidence.calibrators import Calibrator, WithFields, fields_sql
from sparklabel.confidence.fit import JudgedAnswer, confidences, field_confidences, fit_calibrator
from sparklabel.delta.commits import commit_metadata, retry_on_conflict
from sparklabel.delta.log_stores import check_stores
from sparklabel.errors import AnswersError, ModelError, ModelUnreachable
from sparklabel.evaluation.metrics.confidence import calibration_error
from sparklabel.labels.predicates import model_value_sql
from sparklabel.labels.record import Alternative, FieldConfidence
from sparklabel.labels.status import ANSWERED, UNCERTAIN
from sparklabel.models.manifest import ModelManifest
from sparklabel.redaction import printable_lines
from sparklabel.sql import quote, sql_list, sql_string
from sparklabel.table.driver_rows import bounded
from sparklabel.table.recorded_tasks import Calibration
from sparklabel.table.row_states import HASH, STATE, Scope, row_states
from sparklabel.table.schema_evolution import cast_struct_sql, record_type
from sparklabel.table.task_table import TaskTable, open_task_table
from sparklabel.tasks import Task, is_one_choice
from sparklabel.tasks.json_values import plain


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationReport:
    """The result of `calibrate`; `str()` of it is a summary to print.

    Attributes:
        table: The table, as it was named.
        task: The task's name.
        model: The identity of the model whose answers were judged.
        answers: Human answers that the calibrator was fitted to.
        correct: How many of them say what the model said.
        calibrator: What was fitted.
        error_before: The expected calibration error on these answers before.
        error_after: The same with the calibrator; since it was fitted to them, expect more on other rows.
        fields: Fields or elements of these answers that a calibrator of their own was fitted to; 0 if there is none.
        field_error_before: Their expected calibration error before.
        field_error_after: The same with their calibrator.
        rows: Rows of the table whose confidence was recomputed.
        run_id: The MLflow run that has the calibrator.
        not_read: Human answers beyond the 200,000, or the 256 MiB, that are read: chosen by a hash of their inputs.
    """

    table: str
    task: str
    model: str
    answers: int
    correct: int
    calibrator: Calibrator
    error_before: float
    error_after: float
    rows: int
    run_id: str
    not_read: int = 0
    fields: int = 0
    field_error_before: float = 0.0
    field_error_after: float = 0.0

    def __str__(self) -> str:
        return printable_lines("\n  ".join((
            f"{self.table}: task {self.task}, model {self.model}",
            f"{self.answers:,} answers judged by people{self._more()}, {self.correct / self.answers:.1%} correct: "
            f"{self.calibrator}",
            f"expected calibration error {self.error_before:.3f} -> {self.error_after:.3f} on these answers"
            + (f", {self.field_error_before:.3f} -> {self.field_error_after:.3f} on their {self.fields:,} fields"
               if self.fields else ""),
            f"confidence of {self.rows:,} rows recomputed; later passes with this model and task use the calibrator "
            f"(MLflow run {self.run_id})",
        )))  # fmt: skip

    def _more(self) -> str:
        return f" (a sample: {self.not_read:,} more are not read)" if self.not_read else ""


def calibrate(
    spark: SparkSession,
    table: str,
    task: Task,
    *,
    key: str | Sequence[str] | None = None,
    column: str | None = None,
    into: str | None = None,
    model: str | None = None,
    allow_unsafe_store: bool = False,
    experiment: str = registry.DEFAULT_EXPERIMENT,
) -> CalibrationReport:
    """Fits a calibrator to a table's human answers, logs it to MLflow, and recomputes the table's `confidence`.

    It learns from rows that people corrected or confirmed and whose record holds the model's answer to the current
    task and input. Rows that people were asked about because the model was uncertain (`review_reason` is `queue`) are
    left out: they are not a fair sample. The confidence of every row with an answer of this model to this task is
    recomputed in one UPDATE; later passes with this model and task use the calibrator too. Values do not change.

    Args:
        spark: The session.
        table: The labeled table's name or path.
        task: The task that it was labeled with.
        key: The column, or columns, that identify each row. Only needed if no pass has remembered them.
        column: The value column, if it is not named like the task.
        into: The table that has the labels, if `table` has not.
        model: Whose answers to calibrate: a reference, or what the records say (`intent_label.model`). By default the
            model with the most human answers.
        allow_unsafe_store: As for `label_table`.
        experiment: The MLflow experiment to log to. Passes over other tables find the calibrator of a model that is not
            registered only in the experiment that they log to themselves.

    Returns:
        The calibrator, the calibration error before and after it, and how many rows changed.

    Raises:
        TableError: The table cannot be opened, or Delta could lose commits where it is.
        ColumnError: The table has no labels of the task, or a column is missing.
        KeyColumnError: The key has NULLs or duplicates, in the table or in the one for the labels.
        AnswersError: There are fewer than 50 such answers, or all of them are correct, or all are wrong.
        ModelError: `model` does not resolve, or its files cannot be downloaded now.
        SetupError: MLflow is not available.
        ConflictError: Other writers of the table kept winning.

    All but ConflictError, and a SetupError if MLflow fails meanwhile, are raised before anything is written.

    Example:
        ```python
        report = sl.calibrate(spark, "tickets", intent, key="id")
        print(report.error_before, report.error_after)
        ```
    """
    opened = open_task_table(spark, table, task, key, column, into=into, writes=True)
    check_stores(spark, allow_unsafe_store, [opened.target.location])
    opened.check_labeled(task, "Label it first: sparklabel.label_table(...).")
    answers = _human_answers(spark, opened, task)
    identity = _model_of(answers, model, opened, task)
    fingerprint = _prompt_fingerprint(identity, task)
    read, not_read = bounded(answers.where(F.col("model") == identity), HASH)
    judged = _judged(read, task)
    calibrator = fit_calibrator(judged, choices=is_one_choice(task.answer_mode))
    right = np.array([answer.agreement for answer in judged])
    raw = np.array([answer.raw for answer in judged])
    errors = {
        "error_before": calibration_error(raw, right) or 0.0,
        "error_after": calibration_error(confidences(calibrator, judged), right) or 0.0,
    } | _field_errors(calibrator, judged)
    with registry.start_run(f"calibrate {task.name}", experiment=experiment) as run:
        run.log_table(
            opened.target.name,
            location=opened.target.location,
            version=opened.target.version,
            context="calibration",
        )
        run.log_params({"task": task.name, "task_fingerprint": task.fingerprint, "model": identity,
                        "answers": len(judged), "not_read": not_read, "calibrator": calibrator.to_dict()})  # fmt: skip
        run.log_metrics({name.replace("error", "ece"): error for name, error in errors.items()})
        # An earlier release's table lacks what the confidences of fields need.
        if not is_one_choice(task.answer_mode):
            _note(spark, opened, task)
        rows = _rewrite_confidence(spark, opened, task, identity, calibrator)
        # Before MLflow, which may have failed since: the table's next passes must go on with it.
        _note(spark, opened, task, Calibration.of(identity, fingerprint, calibrator, run.id))
        registry.log_calibrator(run, identity, fingerprint, calibrator)
    return CalibrationReport(
        table=table, task=task.name, model=identity, answers=len(judged), correct=int((right == 1).sum()),
        calibrator=calibrator, rows=rows, run_id=run.id, not_read=not_read,
        fields=sum(len(answer.fields) for answer in judged) if isinstance(calibrator, WithFields) else 0, **errors,
    )  # fmt: skip


def _field_errors(calibrator: Calibrator, judged: Sequence[JudgedAnswer]) -> dict[str, float]:
    """The calibration error of the answers' fields before and after, if something was fitted to them."""
    if not isinstance(calibrator, WithFields):
        return {}
    right = np.array([share for answer in judged for _, share in answer.fields])
    return {
        "field_error_before": calibration_error(field_confidences(None, judged), right) or 0.0,
        "field_error_after": calibration_error(field_confidences(calibrator, judged), right) or 0.0,
    }


def _human_answers(spark: SparkSession, opened: TaskTable, task: Task) -> DataFrame:
    """Human answers to rows that a model answered too: HASH, `model`, its value (`predicted`), its own probability
    (`raw`), `alternatives` and `fields`, and the human `answer`."""
    label = quote(opened.label_columns.label)
    known = sql_list((*ANSWERED, UNCERTAIN))
    states = row_states(spark, opened, task, Scope(relabel="none"))
    fair = (
        f"{label}.labeled_at IS NOT NULL AND {label}.raw_confidence IS NOT NULL AND {label}.status IN ({known}) "
        f"AND {label}.task_fingerprint = {sql_string(task.fingerprint)} AND NOT ({label}.review_reason <=> 'queue')"
    )
    return states.where((F.col(STATE) == "human") & F.expr(fair)).select(
        HASH,
        F.expr(f"{label}.model").alias("model"),
        F.expr(model_value_sql(label)).alias("predicted"),
        F.expr(f"{label}.raw_confidence").alias("raw"),
        F.expr(f"{label}.alternatives").alias("alternatives"),
        F.expr(f"{label}.field_confidence").alias("fields"),
        F.col(quote(opened.label_columns.value)).alias("answer"),
    )


def _model_of(answers: DataFrame, model: str | None, opened: TaskTable, task: Task) -> str:
    """The identity, as records have it, of the model that is asked for; by default the one with the most answers."""
    if model is not None:
        is_identity = bool(answers.where(F.col("model") == model).take(1))
        return model if is_identity else registry.resolve(model).identity
    most = answers.groupBy("model").count().orderBy(F.desc("count"), "model").first()
    if most is None:
        raise AnswersError(
            f"{opened.target.name} has no human answers to compare a model's answers to {task.name!r} with.",
            hint="Label it with the current task, then correct and confirm rows that are drawn at random.",
        )
    return str(most["model"])


def _judged(answers: DataFrame, task: Task) -> list[JudgedAnswer]:
    """The answers that the task accepts, on the driver."""
    mode = task.answer_mode
    judged = []
    for row in answers.collect():
        answer = plain(row["answer"])
        if mode.accepts(answer):
            alternatives = [
                Alternative(a["value"], a["probability"]) for a in plain(row["alternatives"]) or ()
            ]
            fields = [FieldConfidence(**field) for field in plain(row["fields"]) or ()]
            value = plain(row["predicted"])
            judged.append(JudgedAnswer.of(mode, answer, value, row["raw"], alternatives, fields))
    return judged


def _prompt_fingerprint(model: str, task: Task) -> str:
    """The fingerprint by which passes look up a calibrator: a fine-tuned model's is that of the prompt it carries."""
    if not model.startswith("models:/"):
        return task.fingerprint
    try:
        manifest = registry.resolve(model).manifest
    except ModelUnreachable:  # passes would look for the calibrator under the manifest's fingerprint
        raise
    except ModelError:
        return task.fingerprint
    return (ModelManifest.from_json(manifest).task_fingerprint if manifest else "") or task.fingerprint


def _note(spark: SparkSession, opened: TaskTable, task: Task, *calibrations: Calibration) -> None:
    """Notes calibrators in the table's properties, and adds fields that its records lack."""
    table = opened.newest(spark, task)
    retry_on_conflict(
        lambda: table.ensure_columns(spark, task, calibrations),
        f"Noting the calibrator in {table.target.name}",
    )


def _rewrite_confidence(
    spark: SparkSession, opened: TaskTable, task: Task, model: str, calibrator: Calibrator
) -> int:
    """Recomputes the confidence of the model's answers to the task; how many rows it changed."""
    label = quote(opened.label_columns.label)

    def commit() -> int:
        fields = (
            "" if is_one_choice(task.answer_mode) else f", {_fields_update(spark, opened, task, calibrator)}"
        )
        update = (
            f"UPDATE {opened.target.sql} SET {label}.confidence = {calibrator.sql(label)}{fields} "
            f"WHERE {label}.model = {sql_string(model)} AND {label}.raw_confidence IS NOT NULL "
            f"AND {label}.task_fingerprint = {sql_string(task.fingerprint)}"
        )
        with commit_metadata(spark, calibrated=task.name, model=model, task_fingerprint=task.fingerprint):
            return int(spark.sql(update).collect()[0]["num_affected_rows"])

    return retry_on_conflict(commit, f"Updating {opened.target.name}")


def _fields_update(spark: SparkSession, opened: TaskTable, task: Task, calibrator: Calibrator) -> str:
    """The assignment that recomputes the confidence of fields, in the type that the table has now."""
    column = opened.label_columns.label
    record = opened.newest(spark, task).target.schema[column].dataType
    assert isinstance(record, StructType)
    ours, theirs = (of["field_confidence"].dataType for of in (record_type(task), record))
    found = cast_struct_sql(fields_sql(calibrator, quote(column)), ours, theirs)
    return f"{quote(column)}.field_confidence = {found}"
