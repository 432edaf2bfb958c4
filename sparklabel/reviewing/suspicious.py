"""`suspicious`: human answers that are probably mistakes, the most suspicious first.

In: a labeled table. Out: a DataFrame of the rows to look at again. A classifier that has not read a row says what it
finds, and how much less probable the given answer is. Nothing is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, DoubleType, StructField, StructType

from sparklabel.classifiers.features import sentence_features
from sparklabel.classifiers.heads import Floats, Targets, cross_fitted
from sparklabel.errors import SetupError, TaskError
from sparklabel.few_shot import Encoder
from sparklabel.models.encoders import resolve_encoder
from sparklabel.models.shipped_encoder import ENCODER
from sparklabel.sql import quote
from sparklabel.table.driver_rows import bounded
from sparklabel.table.human_answers import HumanAnswer
from sparklabel.table.row_states import HASH, STATE, TEXT, labeled_rows
from sparklabel.table.task_table import TaskTable, open_labeled
from sparklabel.tasks import Scored, Task, check_task
from sparklabel.tasks.json_values import plain
from sparklabel.tasks.multilabel import labels_of
from sparklabel.texts import is_blank
from sparklabel.training.classifier_fit import AnsweredRows, open_encoder

MOST_ROWS = 20_000
"""Answers that are looked at: their sentence vectors take minutes on a CPU."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What heads that have not read a row find of its answer.

    Attributes:
        margin: [N], the given choice's probability minus the best other's, in [-1, 1]: below 0 the other is more
            probable. Of several groups of choices the smallest one.
        other: [N, G], the given choices, of which that of the smallest margin is the best other one instead.
    """

    margin: Floats
    other: Targets

    def ranked(self, n: int) -> NDArray[np.int64]:
        """The positions of the `n` most suspicious rows, most suspicious first."""
        return np.argsort(self.margin, kind="stable")[:n]


def suspicion(log_p: Floats, targets: Targets, groups: Sequence[int]) -> Suspicion:
    """How suspicious answers are.

    Real mistakes are confusable choices, which a margin finds better than the given choice's probability alone.

    Args:
        log_p: [N, L], from heads that have not read the row.
        targets: [N, G], the given choice in each of G groups.
        groups: The sizes of the groups, which sum to L.
    """
    rows = np.arange(len(targets))
    margins, others = [], []
    for group, part in enumerate(np.split(np.exp(log_p), np.cumsum(groups)[:-1], axis=1)):
        given = part[rows, targets[:, group]].copy()
        part[rows, targets[:, group]] = -1
        others.append(part.argmax(axis=1))
        margins.append(given - part[rows, others[-1]])
    worst = np.argmin(margins, axis=0)
    other = targets.copy()
    other[rows, worst] = np.array(others)[worst, rows]
    return Suspicion(np.min(margins, axis=0), other)


def out_of_fold(answered: AnsweredRows, encoder: Encoder) -> Suspicion:
    """How suspicious answers are to five heads over sentence vectors, none of which has read the row's fold."""
    features = sentence_features(answered.task, answered.rows, encoder)
    _, log_p = cross_fitted(features, answered.targets, answered.groups, answered.folds)
    return suspicion(log_p, answered.targets, answered.groups)


def suspicious(
    spark: SparkSession,
    table: str,
    task: Task,
    *,
    key: str | Sequence[str] | None = None,
    column: str | None = None,
    into: str | None = None,
    n: int = 100,
    encoder: str = ENCODER,
) -> DataFrame:
    """The human answers that are most probably mistakes: those that the other answers contradict.

    A classifier is taught four fifths of the answers and judges the last one, five times. Look at the rows from the
    top, until you agree with the answers. Held-out answers are looked at, too.

    Args:
        spark: The session.
        table: The table's name or path.
        task: A task that chooses: classification, multilabel, matching or rating.
        key: The columns that identify each row; only needed if no pass has remembered them.
        column: The value column, if it is not named like the task.
        into: The table that has the labels, if `table` has not.
        n: How many rows to return.
        encoder: Whose sentence vectors are read, as for `finetune`. Of more than 20,000 answers those with the smallest
            input hashes are looked at.

    Returns:
        The key, the inputs, `answer` as it was given, `other`, what the classifier finds, and `margin`: the
        probability of `answer` minus that of `other`, in [-1, 1]. The smallest comes first.

    Raises:
        SetupError: `n` is not a positive whole number, or the encoder is not installed.
        TaskError: The task's answers are written, or it is not one.
        AnswersError: There are too few answers.
        TableError, ColumnError, KeyColumnError or ModelError: As for `answers`, and `finetune` of the encoder.

    Example:
        ```python
        rows = sl.suspicious(spark, "tickets", intent, n=50)
        rows.show()
        ```
    """
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise SetupError(f"n={n!r} is not a number of rows.", hint="n=100 gives the first hundred.")
    check_task(task)
    if not isinstance(mode := task.answer_mode, Scored):
        raise TaskError(f"Answers to a task of kind {task.kind!r} are written, and a classifier chooses.")
    opened = open_labeled(spark, table, task, key, column, into)
    rows = _answered_rows(spark, opened, task)
    answers = [HumanAnswer(tuple(row[TEXT]), plain(row["answer"]), None) for row in rows]
    found = out_of_fold(AnsweredRows.of(task, answers), open_encoder(resolve_encoder(encoder)))
    shown = opened.key_and_inputs(task)
    content = [
        (
            *(rows[i][c] for c in shown),
            answers[i].answer,
            chosen_value(mode, found.other[i]),
            float(found.margin[i]),
        )
        for i in found.ranked(n).tolist()
    ]
    value = DataType.fromDDL(task.value_type)
    fields = [StructField(c, opened.source.schema[c].dataType) for c in shown]
    of_answers = [
        StructField("answer", value),
        StructField("other", value),
        StructField("margin", DoubleType()),
    ]
    return spark.createDataFrame(content, StructType([*fields, *of_answers]))


def chosen_value(mode: Scored, chosen: NDArray[np.int64]) -> Any:
    """The value, as a table holds it, of one choice in each group [G]."""
    if mode.groups:
        return [label for label, number in zip(labels_of(mode), chosen, strict=True) if number == 0]
    value = mode.choices[chosen[0]]
    return float(value) if mode.ordinal else value


def _answered_rows(spark: SparkSession, opened: TaskTable, task: Task) -> list[Row]:
    """The rows whose answer the task accepts, with their input as text (TEXT) and `answer`, in the order of a hash."""
    accepts, inputs = task.answer_mode.accepts, opened.input_columns(task)
    rows = (
        labeled_rows(spark, opened, task)
        .where(F.col(STATE) == "human")
        .select(
            HASH,
            *map(quote, opened.key_and_inputs(task)),
            F.array(*(F.col(quote(c)).cast("string") for c in inputs)).alias(TEXT),
            F.col(quote(opened.label_columns.value)).alias("answer"),
        )
    )
    read, _ = bounded(rows.orderBy(HASH).limit(MOST_ROWS), HASH)
    found = [
        row for row in read.collect() if accepts(plain(row["answer"])) and not all(map(is_blank, row[TEXT]))
    ]
    return sorted(found, key=lambda row: (row[HASH], repr([row[c] for c in opened.keys])))
