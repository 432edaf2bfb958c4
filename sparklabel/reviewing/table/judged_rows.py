"""The rows that people answered and a model was asked about, read from the table.

In: a table opened for a task. Out: `JudgedLabel` records, for the page about quality.
"""

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparklabel.labels.predicates import model_value_sql
from sparklabel.labels.status import ANSWERED, UNCERTAIN
from sparklabel.reviewing.insight.quality import JudgedLabel
from sparklabel.reviewing.table.iso_times import to_iso
from sparklabel.sql import quote, sql_list
from sparklabel.table.driver_rows import bounded
from sparklabel.table.row_states import HASH, STATE, labeled_rows
from sparklabel.table.task_table import TaskTable
from sparklabel.tasks import Task
from sparklabel.tasks.json_values import plain


def judged_labels(spark: SparkSession, opened: TaskTable, task: Task) -> list[JudgedLabel]:
    """One of each input whose answer the task accepts and whose text is the one that both read: at most 200,000 or
    256 MiB, always the same ones. None of a table that no pass has labeled."""
    if opened.label_columns.missing:
        return []
    label, accepts = quote(opened.label_columns.label), task.answer_mode.accepts
    rows = (
        labeled_rows(spark, opened, task)
        .where(F.col(STATE) == "human")
        .where(f"{label}.labeled_at IS NOT NULL AND {label}.status IN ({sql_list((*ANSWERED, UNCERTAIN))})")
        .dropDuplicates([HASH])
        .select(
            HASH,
            F.col(quote(opened.label_columns.value)).alias("value"),
            F.expr(model_value_sql(label)).alias("said"),
            F.expr(f"{label}.confidence").alias("confidence"),
            F.expr(f"coalesce({label}.model, '')").alias("model"),
            F.expr(f"unix_micros({label}.labeled_at)").alias("labeled_at"),
            F.expr(f"{label}.review_reason").alias("reason"),
        )
    )
    read, _ = bounded(rows, HASH)
    return [
        JudgedLabel(
            value=plain(row["value"]), model_value=plain(row["said"]), confidence=row["confidence"], model=row["model"],
            labeled_at=to_iso(row["labeled_at"]) or "", reason=row["reason"],
        )
        for row in read.collect()
        if accepts(plain(row["value"]))
    ]  # fmt: skip
