"""Human answers of a table as few-shot examples: read once, on the driver, at one version.

In: a session, a task with `examples_from`. Out: an `ExampleSet`. Reads only.
"""

from collections.abc import Callable

from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

from sparklabel.arguments import check_flags
from sparklabel.delta.snapshot import TableSnapshot, open_snapshot
from sparklabel.errors import ColumnError, SetupError
from sparklabel.few_shot import LONGEST, MAX_ANSWERS, AnsweredInput, Encoder, ExampleSet, example_set
from sparklabel.labels.predicates import human_sql, input_hash_sql
from sparklabel.models.shipped_encoder import check_installed, sentence_encoder
from sparklabel.sql import quote
from sparklabel.table.label_columns import check_inputs, input_columns
from sparklabel.table.recorded_tasks import recorded_column
from sparklabel.tasks import Task

_MAX_READ = MAX_ANSWERS * 3 // 2
"""More than are used: a fifth is held out, and some are duplicates."""


def check_examples(spark: SparkSession, task: Task, adopt: bool = False) -> None:
    """Raises TableError, ColumnError or SetupError if the task's examples cannot be read, or may not be (`adopt` as for
    `pinned_examples`). Selects none."""
    if task.examples_from:
        check_installed()
        _condition(_opened(spark, task, task.examples_from.table), task, adopt)


def pinned_examples(
    spark: SparkSession | None,
    task: Task,
    adopt: bool = False,
    open_encoder: Callable[[], Encoder] = sentence_encoder,
) -> ExampleSet | None:
    """The task's examples, from the newest version of the table that it names; None if it names none.

    A table without answers gives an empty set.

    Args:
        adopt: Take the values of a column that no pass wrote as people's answers. Whoever runs a task file says so, not
            the file: it may come from somebody who cannot read the table that it names.

    Raises:
        TableError, ColumnError: The table cannot be read, or does not have the task's columns.
        SetupError: There is no session, or the package with the sentence encoder is not installed.
    """
    check_flags(SetupError, adopt_examples=adopt)
    source = task.examples_from
    if source is None:
        return None
    check_installed()
    spark = spark or SparkSession.getActiveSession()
    if spark is None:
        raise SetupError(
            f"The examples of the task {task.name!r} are in a table, and there is no active Spark session.",
            hint="Make one first: spark = sparklabel.spark_session()",
        )
    target = _opened(spark, task, source.table)
    answers = _answers(spark, target, task, adopt)
    more = len(answers) == _MAX_READ
    return example_set(task, source, target.version, answers, open_encoder, more=more)


def _opened(spark: SparkSession, task: Task, table: str) -> TableSnapshot:
    target = open_snapshot(spark, table)
    check_inputs(target, task)
    return target


def _answers(spark: SparkSession, target: TableSnapshot, task: Task, adopt: bool) -> list[AnsweredInput]:
    """The answers whose input has not changed since, ordered by a hash, so that the first ones are a sample."""
    found = _condition(target, task, adopt)
    if found is None:
        return []
    value, condition = found
    columns = [f"CAST({quote(c)} AS STRING)" for c in input_columns(target, task)]
    length = " + ".join(f"coalesce(length({c}), 0)" for c in columns)
    rows = spark.sql(
        f"SELECT array({', '.join(columns)}) AS inputs, {quote(value)} AS answer "
        f"FROM {target.sql} VERSION AS OF {target.version} WHERE {condition} AND {length} <= {LONGEST} "
        f"ORDER BY {input_hash_sql(columns)} LIMIT {_MAX_READ}"
    ).collect()
    return [AnsweredInput(tuple(row["inputs"]), row["answer"]) for row in rows]


def _condition(target: TableSnapshot, task: Task, adopt: bool) -> tuple[str, str] | None:
    """The column with the answers and the SQL condition of the human ones; None if the table has no such column.

    If no pass wrote the column, all its values count as human if they are adopted. Raises ColumnError.
    """
    recorded = recorded_column(target, task)
    name = recorded or task.name
    value, label = target.column(name), target.column(f"{name}_label")
    if value is None:
        return None
    if label is None and recorded:
        raise ColumnError(
            f"{target.name} has the values of {task.name!r} in {value!r}, and the column '{value}_label', which says "
            "what of them people gave, is gone.",
            hint="Bring it back, or take the examples from another table.",
        )
    if label is None and adopt is not True:
        raise ColumnError(
            f"The task {task.name!r} takes examples from {target.name}, whose column {value!r} no labeling pass wrote.",
            hint=f"adopt_examples=True (--adopt-examples) takes its values as people's answers, and shows them with "
            f"{', '.join(map(repr, input_columns(target, task)))} to the model. A task file cannot say so itself.",
        )
    if label is None:
        return value, f"{quote(value)} IS NOT NULL"
    record = target.schema[label].dataType
    if not isinstance(record, StructType) or not {"value", "source", "input_hash"} <= set(
        record.fieldNames()
    ):
        raise ColumnError(f"{target.name} has a column {label!r} that is not a label record of {value!r}.")
    inputs = input_hash_sql([quote(c) for c in input_columns(target, task)])
    written = f"{quote(label)}.input_hash"
    return value, f"{human_sql(quote(value), quote(label))} AND ({written} IS NULL OR {written} = {inputs})"
