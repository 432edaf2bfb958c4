"""A pass beside one written by hand: `python -m benchmarks.speed.table [--rows 1000000] [--out FILE]`.

The fake engine answers, so that little but Spark and Delta is left. The yardstick: one read of the table, one filter,
the same column function, its answers materialized, one MERGE of them without guards. Both do the same work on equal
tables in one process, one after the other, and only the ratios of one run count:

    ten changed rows of 1,000                                  at most 25 SQL executions and 2.0 times the yardstick
    nothing pending                                            at most 6 SQL executions
    1,000 changed rows of --rows, with deletion vectors        at most 1.3 times
    a first pass over --rows                                   at most 1.3 times
    files in staging after a first pass with 64 task slots     printed

Each comparison runs on a warm session. `--only NAME` runs one part: small, changed, first, files.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from rich.console import Console
from rich.table import Table

import sparklabel as sl
from benchmarks.machine import machine, paragraph
from sparklabel.machine import cores

_FILES = 16
_TASK = sl.classification("verdict", "text", ["fresh", "rotten"], "Judge.")
_COLUMNS = (
    "id",
    "concat('review ', id, ' of ', sha2(CAST(id AS STRING), 256)) AS text",
    "array_join(transform(sequence(1, 4), i -> sha2(concat(id, '-', i), 256)), '') AS payload",
)
Figures = dict[str, float]


class Meter:
    """Seconds and SQL executions of a piece of work."""

    def __init__(self, spark: SparkSession) -> None:
        self._store = spark._jsparkSession.sharedState().statusStore()  # a benchmark: classic sessions only

    def __call__(self, work: Callable[[], Any]) -> tuple[float, int, Any]:
        before, started = self._settled(), time.perf_counter()
        found = work()
        seconds = time.perf_counter() - started
        return seconds, self._settled() - before, found

    def _settled(self) -> int:
        """The number of executions, once the listener has seen them all."""
        seen = -1
        while seen != (now := int(self._store.executionsCount())):
            seen = now
            time.sleep(0.3)
        return seen


class LabeledTable:
    """A Delta table of distinct texts, each row with 256 bytes that a MERGE has to carry along."""

    def __init__(self, spark: SparkSession, path: Path, rows: int, files: int = _FILES) -> None:
        self.spark, self.path, self.sql, self.rows = spark, str(path), f"delta.`{path}`", rows
        spark.range(rows, numPartitions=files).selectExpr(*_COLUMNS).write.format("delta").save(self.path)

    def label(self, **options: Any) -> sl.PassReport:
        return sl.label_table(
            self.spark, self.path, _TASK, key="id", model="m", engine="fake", progress=False, **options
        )

    def by_hand(self) -> None:
        """The yardstick. A row is pending if its record is missing, or is that of another text."""
        self.add_columns()
        hashed = self.spark.table(self.sql).withColumn("hash", F.sha2("text", 256))
        pending = hashed.where("verdict_label IS NULL OR NOT (verdict_hash <=> hash)").select(
            "id", "text", "hash"
        )
        label = sl.label_udf(_TASK, "m", "fake")
        answers = pending.repartition(cores()).select("id", "hash", label("text").alias("answer"))
        answers.localCheckpoint().createOrReplaceTempView("answers_by_hand")
        self.spark.sql(
            f"MERGE INTO {self.sql} t USING answers_by_hand s ON t.id = s.id WHEN MATCHED THEN UPDATE SET "
            "t.verdict = s.answer.value, t.verdict_label = s.answer, t.verdict_hash = s.hash"
        ).collect()

    def add_columns(self) -> None:
        """What a pass by hand keeps: the value, the record, and the hash of the text that was answered."""
        if "verdict_hash" not in self.spark.table(self.sql).columns:
            from sparklabel.labels.record import label_ddl

            ddl = f"verdict STRING, verdict_label {label_ddl('STRING')}, verdict_hash STRING"
            self.spark.sql(f"ALTER TABLE {self.sql} ADD COLUMNS ({ddl})")

    def change(self, rows: int) -> None:
        """New texts for rows all over the table."""
        where = f"id % {self.rows // rows} = 0"
        self.spark.sql(f"UPDATE {self.sql} SET text = concat(text, '!') WHERE {where}").collect()

    def enable_deletion_vectors(self) -> None:
        self.spark.sql(f"ALTER TABLE {self.sql} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")


class Benchmark:
    """The parts, on one session."""

    def __init__(self, spark: SparkSession, folder: Path, rows: int, rounds: int) -> None:
        self.spark, self.folder, self.rows, self.rounds = spark, folder, rows, rounds
        self.meter, self._tables = Meter(spark), 0

    def table(self, rows: int) -> LabeledTable:
        self._tables += 1
        return LabeledTable(self.spark, self.folder / f"t{self._tables}", rows)

    def small(self) -> Figures:
        """Ten changed rows of 1,000, and then nothing pending. The medians of the rounds."""
        ours, hand = self.table(1000), self.table(1000)
        ours.label()
        hand.by_hand()
        runs = []
        for _ in range(self.rounds + 1):
            ours.change(10)
            seconds, executions, report = self.meter(ours.label)
            assert report.labeled == 10
            hand.change(10)
            by_hand, _, _ = self.meter(hand.by_hand)
            nothing, executions_of_nothing, report = self.meter(ours.label)
            assert report.labeled == 0
            runs.append((seconds, by_hand, seconds / by_hand, nothing, executions, executions_of_nothing))
        found = [
            statistics.median(column) for column in zip(*runs[1:], strict=True)
        ]  # the first one warms up
        names = (
            "seconds",
            "by hand",
            "ratio",
            "nothing pending",
            "executions",
            "executions, nothing pending",
        )
        return dict(zip(names, found, strict=True))

    def changed(self) -> Figures:
        """1,000 changed rows of a large table with deletion vectors."""
        ours, hand = self.table(self.rows), self.table(self.rows)
        ours.label()
        hand.by_hand()
        for table in (ours, hand):
            table.enable_deletion_vectors()
        runs = []
        for _ in range(self.rounds + 1):
            ours.change(1000)
            seconds, executions, report = self.meter(ours.label)
            assert report.labeled == 1000
            hand.change(1000)
            by_hand, _, _ = self.meter(hand.by_hand)
            runs.append((seconds, by_hand, seconds / by_hand, executions))
        found = [statistics.median(column) for column in zip(*runs[1:], strict=True)]
        return dict(zip(("seconds", "by hand", "ratio", "executions"), found, strict=True))

    def first(self) -> Figures:
        """A first pass over all rows, on tables that nobody has labeled."""
        warm = self.table(20_000)
        warm.label()
        self.table(20_000).by_hand()
        ours, hand = self.table(self.rows), self.table(self.rows)
        seconds, executions, report = self.meter(ours.label)
        assert report.labeled == self.rows
        by_hand, _, _ = self.meter(hand.by_hand)
        return {"seconds": seconds, "by hand": by_hand, "ratio": seconds / by_hand, "executions": executions}


def files_with_64_slots(folder: Path) -> Figures:
    """The data files that a first pass left in staging, for each of its chunks, with 64 task slots on this machine."""
    spark = sl.spark_session({"spark.master": "local[64]", "spark.sql.shuffle.partitions": "64"})
    table = LabeledTable(spark, folder / "slots", 200_000)
    table.label(cache=False)
    log = folder / "slots" / "_sparklabel"
    adds = [
        json.loads(line)
        for path in sorted(log.glob("*/_delta_log/*.json"))
        for line in path.read_text("utf-8").splitlines()
    ]
    files = sum(1 for action in adds if "add" in action and action["add"]["dataChange"])
    chunks = sum(1 for action in adds if "txn" in action)
    spark.stop()
    return {"chunks": chunks, "files": files}


_TARGETS = {
    ("small", "executions"): 25.0,
    ("small", "ratio"): 2.0,
    ("small", "executions, nothing pending"): 6.0,
    ("changed", "ratio"): 1.3,
    ("first", "ratio"): 1.3,
}


def shown(results: dict[str, Figures]) -> Table:
    table = Table(title="A pass beside one written by hand")
    for name in ("part", "figure", "measured", "target"):
        table.add_column(name, justify="left" if name in ("part", "figure") else "right")
    for part, figures in results.items():
        for name, value in figures.items():
            target = _TARGETS.get((part, name))
            table.add_row(part, name, f"{value:,.2f}", "" if target is None else f"at most {target:g}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("small", "changed", "first", "files"))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    console, results = Console(), dict[str, Figures]()
    console.print(paragraph())
    with tempfile.TemporaryDirectory() as folder:
        wanted = [arguments.only] if arguments.only else ["small", "changed", "first", "files"]
        if set(wanted) != {"files"}:
            spark = sl.spark_session()
            run = Benchmark(spark, Path(folder), arguments.rows, arguments.rounds)
            for part in wanted:
                if part != "files":
                    results[part] = getattr(run, part)()
                    console.print(shown({part: results[part]}))
            spark.stop()
        if "files" in wanted:
            results["files"] = files_with_64_slots(Path(folder))
            console.print(shown({"files": results["files"]}))
    if arguments.out:
        arguments.out.write_text(json.dumps({"machine": machine(), "results": results}, indent=2))


if __name__ == "__main__":
    main()
