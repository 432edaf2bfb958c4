"""Rows that one task writes into staging in a second: `python -m benchmarks.scale.writing [--rows 100000]`.

The same answers of the fake engine are staged by one task and by two, on two slots. They are computed and kept first,
so that only the shuffle and the writing are timed: what the other slots of a cluster wait for behind a chunk.
"""

import statistics
import tempfile
from pathlib import Path

from pyspark import StorageLevel
from pyspark.sql import functions as F

import sparklabel as sl
from benchmarks.harness import argument_parser, figure_table, finish, seconds
from sparklabel.labeling.state.staging import open_staging
from sparklabel.table.row_states import ANSWER, HASH
from sparklabel.table.task_table import open_task_table

_TASK = sl.classification("verdict", "text", ["fresh", "rotten"], "Judge.")


def main() -> None:
    arguments = argument_parser(__doc__, rows=100_000, rounds=3).parse_args()
    spark = sl.spark_session({"spark.master": "local[2]"})
    with tempfile.TemporaryDirectory() as folder:
        texts = spark.range(arguments.rows).selectExpr("id", "concat('fresh ', id) AS text")
        texts.limit(1).write.format("delta").save(folder)
        table = open_task_table(spark, folder, _TASK, "id")
        staging = open_staging(spark, table.target, table.label_columns, _TASK, "fake:m", "measured")
        label = sl.label_udf(_TASK, "m", "fake")
        answers = texts.select(F.sha2("text", 256).alias(HASH), label("text").alias(ANSWER))
        kept = answers.repartition(64).persist(StorageLevel.MEMORY_AND_DISK)
        kept.count()
        figures = {}
        for tasks in (1, 2):
            times = [
                seconds(lambda n=tasks, r=number: staging.append(kept.repartition(n), 10 * n + r))[0]
                for number in range(arguments.rounds + 1)
            ]
            figures[f"{tasks} tasks"] = arguments.rows / tasks / statistics.median(times[1:])
        bytes_of = sum(file.stat().st_size for file in Path(folder).glob("_sparklabel/*/pass_id=*/*.parquet"))
        figures["bytes an answer"] = bytes_of / arguments.rows / (2 * (arguments.rounds + 1))
        spark.stop()
    table_of = figure_table("Writing into staging", "by", "rows/s a task, or bytes")
    for name, value in figures.items():
        table_of.add_row(name, f"{value:,.0f}")
    finish(arguments, table_of, figures)


if __name__ == "__main__":
    main()
