"""Right answers to compare a model's with: a column of them, or what people answered.

In: a DataFrame, or a table and where its labels are. Out: `Gold`, rows with inputs and right answers. No model is asked
here, and nothing is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, NumericType, StringType, StructField, StructType

from sparklabel.delta.snapshot import TableSnapshot, open_snapshot
from sparklabel.errors import AnswersError, ColumnError, TableError
from sparklabel.sql import quote
from sparklabel.table.human_answers import human_answers
from sparklabel.table.schema_evolution import is_record, same_type
from sparklabel.table.task_table import open_task_table
from sparklabel.tasks import AnswerMode, Scored, Task
from sparklabel.tasks.json_values import plain

GOLD = "_gold"


@dataclass(frozen=True, slots=True)
class Gold:
    """`rows` have the task's inputs by their names, and what is right (GOLD). `name` is the column that says what is
    right; `table` is where it is, if not in a DataFrame. `set_aside` are human answers that do not judge."""

    rows: DataFrame
    name: str
    table: TableSnapshot | None
    set_aside: int = 0

    def judging(self, mode: AnswerMode) -> tuple[DataFrame, int]:
        """The rows that have a right answer, and how many others there are. Raises AnswersError where nothing judges,
        or one has a value that the task does not take as an answer."""
        counts = [(plain(row[GOLD]), int(row["count"])) for row in self.rows.groupBy(GOLD).count().collect()]
        missing = 0 if mode.accepts(None) else sum(count for value, count in counts if value is None)
        if not counts or (missing and all(value is None for value, _ in counts)):
            aside = f", beside {self.set_aside:,} human answers that do not judge" if self.set_aside else ""
            raise AnswersError(
                f"There is nothing to evaluate: {self.name!r} has a right answer in no row{aside}.",
                hint="A fifth of the inputs, by a hash, judges: answer more rows." if self.set_aside else "",
            )
        wrong = [(value, count) for value, count in counts if value is not None and not mode.accepts(value)]
        if wrong:
            raise AnswersError(
                f"{self.name!r} holds {wrong[0][0]!r}, which is not {_an_answer(mode)}",
                hint=f"Leave these {sum(count for _, count in wrong):,} row(s) out, or make the column NULL there.",
            )
        return self.rows if mode.accepts(None) else self.rows.where(f"{GOLD} IS NOT NULL"), missing


def gold_column(spark: SparkSession, df_or_table: DataFrame | str, task: Task, gold: str) -> Gold:
    """All rows, by the column `gold`. Raises TableError or ColumnError."""
    target = open_snapshot(spark, df_or_table) if isinstance(df_or_table, str) else None
    frame = target.read(spark) if target else df_or_table
    assert not isinstance(frame, str)
    _check_columns(frame, (*task.inputs, gold))
    _check_not_a_models(frame, gold)
    _check_type(frame, gold, task)
    right = F.col(quote(gold)).cast(task.value_type)
    rows = frame.select(right.alias(GOLD), *map(quote, task.inputs))
    return Gold(rows, gold, target)


def human_gold(
    spark: SparkSession,
    table: DataFrame | str,
    task: Task,
    key: str | Sequence[str] | None,
    column: str | None,
    into: str | None,
) -> Gold:
    """What people answered, as the gate judges on it, whichever model is asked. Raises TableError, ColumnError or
    KeyColumnError."""
    if not isinstance(table, str) or key is None:
        raise TableError(
            "There is nothing to compare with.",
            hint="Name a column of right answers: gold='...'; or a table and its key: people's answers count then.",
        )
    opened = open_task_table(spark, table, task, key, column, into=into)
    opened.check_labeled(
        task, "Label it and correct some rows, or name a column of right answers: gold='...'."
    )
    found = human_answers(spark, opened, task)
    fields = [StructField(GOLD, DataType.fromDDL(task.value_type))]
    schema = StructType([*fields, *(StructField(name, StringType()) for name in task.inputs)])
    rows = spark.createDataFrame([(one.answer, *one.inputs) for one in found.held_out], schema)
    set_aside = len(found.train) + sum(found.left_out.values())
    return Gold(rows, opened.label_columns.value, opened.target, set_aside)


def _an_answer(mode: AnswerMode) -> str:
    if not isinstance(mode, Scored) or mode.groups:
        return "an answer to the task."
    more = ", ..." if len(mode.names) > 10 else "."
    return f"one of the answers: {', '.join(mode.names[:10])}{more}"


def _check_not_a_models(frame: DataFrame, gold: str) -> None:
    """Raises ColumnError where passes write the column: a model would be right where it says what a model said."""
    records = {field.name.lower() for field in frame.schema if is_record(field.dataType)}
    if f"{gold}_label".lower() in records:
        raise ColumnError(
            f"{gold!r} is a column that labeling passes write: what models said would count as right.",
            hint="Leave gold= out, and give the table's key: what people answered there counts then.",
        )


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


def _check_columns(frame: DataFrame, names: Sequence[str]) -> None:
    there = {column.lower() for column in frame.columns}
    if missing := [name for name in names if name.lower() not in there]:
        raise ColumnError(
            f"There is no column {missing[0]!r} to evaluate.", hint=f"There are: {', '.join(frame.columns)}."
        )
