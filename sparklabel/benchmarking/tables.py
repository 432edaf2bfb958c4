"""The rows of a data set that is a table.

In: a session, a data set that names a table. Out: `SetRows`, split as `finetune` splits answers. Nothing is written.
"""

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparklabel.benchmarking.suite import DataSet, SetRows, fields_read, split_table
from sparklabel.delta.snapshot import open_readable
from sparklabel.errors import SetupError
from sparklabel.progress import tell
from sparklabel.sql import quote
from sparklabel.table.driver_rows import bounded
from sparklabel.table.human_answers import human_answers
from sparklabel.table.task_table import open_task_table

_HASH = "_sparklabel_hash"


def table_rows(name: str, data: DataSet, spark: SparkSession | None) -> SetRows:
    """Of a column that passes write, what people answered, as `finetune` reads it; of any other column all answers.

    Raises:
        SetupError: There is no session, or the table has no answers, or lacks a column.
        TaskError: The set's task is none; its labels must be listed.
        TableError: The table cannot be read.
    """
    assert data.table, "a set whose rows are in files"
    if spark is None:
        raise SetupError(
            f"The rows of the data set {name!r} are in the table {data.table}: there is no session to read it with.",
            hint="Give one: spark=sl.spark_session().",
        )
    task, field = data.build_task([]), data.answer.field
    table = open_readable(spark, data.table)
    columns = {column.lower() for column in table.schema.fieldNames()}
    if missing := [one for one in (field, *fields_read(data, task)) if one.lower() not in columns]:
        raise SetupError(f"The data set {name!r}: {data.table} has no column {missing[0]!r}.")
    if f"{field}_label".lower() in columns:
        answers = human_answers(spark, open_task_table(spark, data.table, task, None, field), task)
        train, test = (
            [(tuple(text or "" for text in one.inputs), one.answer) for one in part]
            for part in (answers.train, answers.held_out)
        )
        if not test:
            raise SetupError(f"The data set {name!r}: {data.table} has no held-out human answers.")
        return SetRows(task, train, test, 0)
    texts = [
        F.coalesce(F.col(quote(one)).cast("string"), F.lit("")).alias(one) for one in fields_read(data, task)
    ]
    rows = table.read(spark).where(F.col(quote(field)).isNotNull()).select(*texts, quote(field))
    content = F.to_json(F.struct(*(F.col(quote(one)) for one in fields_read(data, task))))
    kept, beyond = bounded(rows.withColumn(_HASH, F.sha2(content, 256)), _HASH)
    if beyond:
        tell(
            f"{name}: {beyond:,} answers of {data.table} are beyond those that the driver takes, and left out"
        )
    found = [row.asDict(recursive=True) for row in kept.collect()]
    return split_table(name, data, sorted(found, key=lambda row: (row[_HASH], repr(row[field]))))
