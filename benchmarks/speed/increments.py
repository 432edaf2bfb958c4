"""Ten new rows in a large table beside ten in a small one: `python -m benchmarks.speed.increments [--rows 10000000]`.

The fake engine answers, so that little but Spark and Delta is left. Both tables are labeled as a pass leaves them; then
ten rows are added and a pass answers them, in each round in both. The small table has a hundredth of the rows. The
first call after the records were written reads everything, and is printed apart. Target: 2.0.
"""

import statistics
import tempfile
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

import sparklabel as sl
from benchmarks.harness import argument_parser, figure_table, finish, seconds
from sparklabel.labels.predicates import input_hash_sql

_TASK = sl.classification("verdict", "text", ["fresh", "rotten"], "Judge.")
_ROWS_IN_A_FILE = 100_000
_NEW = 10


class GrowingTable:
    """A labeled Delta table. `keys`: "number" (ascending) or "hash" (new ones fall anywhere among the others)."""

    def __init__(self, spark: SparkSession, path: Path, rows: int, keys: str) -> None:
        self.spark, self.path, self.rows, self._keys = spark, str(path), rows, keys
        self._append(0, rows)
        self.label(where=f"n < {_NEW}")
        self._write_records()

    def _append(self, start: int, rows: int) -> None:
        key = "n" if self._keys == "number" else "sha2(CAST(n AS STRING), 224)"
        frame = self.spark.range(
            start, start + rows, numPartitions=max(1, rows // _ROWS_IN_A_FILE)
        ).selectExpr("id AS n", "concat('review ', id, ' of ', sha2(CAST(id AS STRING), 256)) AS text")
        frame.selectExpr(f"{key} AS id", "*").write.format("delta").mode("append").save(self.path)

    def _write_records(self) -> None:
        """Gives each row the record of one that was answered, with the hash of its own text."""
        table = self.spark.read.format("delta").load(self.path)
        answered = table.where("verdict_label IS NOT NULL").select("verdict", "verdict_label").limit(1)
        record = F.col("verdict_label").withField("input_hash", F.expr(input_hash_sql(["`text`"])))
        rows = table.drop("verdict", "verdict_label").crossJoin(F.broadcast(answered))
        rows.withColumn("verdict_label", record).write.format("delta").mode("overwrite").save(self.path)

    def label(self, **options: str) -> sl.PassReport:
        return sl.label_table(
            self.spark, self.path, _TASK, key="id", model="m", engine="fake", progress=False, **options
        )

    def answer_new(self) -> float:
        """Adds ten rows, and answers them. Returns the seconds that the answering took."""
        self._append(self.rows, _NEW)
        self.rows += _NEW
        took, report = seconds(self.label)
        assert report.labeled == _NEW, report
        print(f"{self.rows:,} rows, {self._keys}: {took:.1f} s {report.unread}", flush=True)
        return took


def main() -> None:
    parser = argument_parser(__doc__, rows=10_000_000, rounds=3)
    arguments = parser.parse_args()
    shown = figure_table("Ten new rows", "keys", "rows", "first, s", "median, s", "ratio")
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        spark = sl.spark_session()
        for keys in ("number", "hash"):
            sizes = (arguments.rows // 100, arguments.rows)
            tables = [GrowingTable(spark, Path(folder) / f"{keys}-{size}", size, keys) for size in sizes]
            first = [table.answer_new() for table in tables]
            rounds = [[table.answer_new() for table in tables] for _ in range(arguments.rounds)]
            medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
            for size, once, median in zip(sizes, first, medians, strict=True):
                shown.add_row(keys, f"{size:,}", f"{once:.1f}", f"{median:.1f}", f"{median / medians[0]:.2f}")
            figures[keys] = {
                "rows": sizes,
                "first": first,
                "rounds": rounds,
                "ratio": medians[1] / medians[0],
            }
    finish(arguments, shown, figures)


if __name__ == "__main__":
    main()
