"""Inputs to answers, by the labeler in Spark's workers.

In: distinct inputs (HASH and texts). Out: their answers, to be staged; or, of a small pass, rows on the driver. Nothing
is merged here.
"""

from collections import Counter
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession

from sparklabel.delta.session import task_slots
from sparklabel.labeling.stats import ChunkStats
from sparklabel.labels.status import RETRYABLE
from sparklabel.sql import quote
from sparklabel.table.key import check_unique_rows, key_range
from sparklabel.table.merge import answered_rows
from sparklabel.table.row_states import ANSWER, HASH
from sparklabel.table.task_table import TaskTable
from sparklabel.udf import LabelerSpec, udf_of


def answer_chunk(spec: LabelerSpec, inputs: DataFrame, slots: int, files: int) -> DataFrame:
    """HASH and ANSWER of `inputs`, computed by `slots` tasks and written by as many as `files` says."""
    label = udf_of(spec)(*map(quote, spec.task.inputs)).alias(ANSWER)
    answers = inputs.repartition(slots).select(HASH, label)
    return answers.repartition(files) if files < slots else answers


@dataclass(frozen=True, slots=True)
class DriverAnswers:
    """What the driver holds of a small pass: the rows with their answers as `answered_rows` gives them, how many there
    are by status, what was computed, each distinct input once, and the range of the rows' keys."""

    rows: DataFrame
    by_status: dict[str, int]
    chunk: ChunkStats
    keys: dict[str, tuple[str, str]]


def answer_on_driver(
    spark: SparkSession, spec: LabelerSpec, pass_id: str, table: TaskTable, rows: DataFrame, inputs: DataFrame
) -> DriverAnswers:
    """Answers the `inputs` of few pending `rows`. Raises KeyColumnError if two of the rows have the same key, or one
    has none."""
    answers = answer_chunk(spec, inputs, task_slots(spark), files=1)
    answered = answered_rows(table, rows, answers, pass_id)
    computed = answered.toArrow()
    check_unique_rows(computed, table.source.name, table.keys)
    records = computed.select([HASH, ANSWER]).to_pylist()
    by_status = Counter(record[ANSWER]["status"] for record in records)
    by_input = {record[HASH]: record[ANSWER] for record in records}.values()
    chunk = ChunkStats(
        answers=len(by_input),
        failed=sum(answer["status"] in RETRYABLE for answer in by_input),
        prompt_tokens=sum(answer["prompt_tokens"] or 0 for answer in by_input),
        output_tokens=sum(answer["output_tokens"] or 0 for answer in by_input),
    )
    keys = key_range(computed, table.keys)
    return DriverAnswers(spark.createDataFrame(computed, answered.schema), dict(by_status), chunk, keys)
