"""What a pass over a large table costs beside its model: `python -m benchmarks.speed.table [--rows 1000000]`.

The fake engine answers, so that little but plan, staging and MERGE is left. First a pass over all rows, against the
same function over the same rows with its answers thrown away; then 1,000 rows all over the table change, and a second
pass answers them, without and with deletion vectors, against the function over 1,000 rows. Targets: the second pass
takes at most 15 s more than its rows, and with deletion vectors writes less than 5% of the table's bytes. Then the
memory that the driver holds (Python's peak; what is alive in the JVM), for a tenth of the rows and for all.
"""

import argparse
import json
import re
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession
from rich.console import Console
from rich.table import Table

import sparklabel as sl
from benchmarks.machine import machine, paragraph
from sparklabel.labeling.build_report import Rewritten
from sparklabel.machine import cores

_CHANGED, _FILES = 1000, 16
_TASK = sl.classification("verdict", "text", ["fresh", "rotten"], "Judge.")
_COLUMNS = (
    "id",
    "concat('review ', id, ' of ', sha2(CAST(id AS STRING), 256)) AS text",
    "array_join(transform(sequence(1, 4), i -> sha2(concat(id, '-', i), 256)), '') AS payload",
)


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


class LargeTable:
    """A Delta table of distinct texts, each row with 256 bytes that a MERGE has to carry along."""

    def __init__(self, spark: SparkSession, path: Path, rows: int) -> None:
        self.spark, self.path, self.sql = spark, str(path), f"delta.`{path}`"
        spark.range(rows, numPartitions=_FILES).selectExpr(*_COLUMNS).write.format("delta").save(self.path)

    @property
    def bytes(self) -> int:
        return int(self.spark.sql(f"DESCRIBE DETAIL {self.sql}").collect()[0]["sizeInBytes"])

    def function(self, rows: int | None = None) -> float:
        """Seconds of the column function alone, its answers thrown away."""
        frame = self.spark.sql(f"SELECT text FROM {self.sql}" + (f" LIMIT {rows}" if rows else ""))
        labels = frame.repartition(cores()).select(sl.label_udf(_TASK, "m", "fake")("text").alias("label"))
        return seconds(lambda: labels.write.format("noop").mode("overwrite").save())[0]

    def pass_over(self, **options: Any) -> dict[str, float]:
        """Seconds of a pass and of its MERGE, and the bytes that this wrote."""
        took, report = seconds(
            lambda: sl.label_table(
                self.spark, self.path, _TASK, key="id", model="m", engine="fake", progress=False, **options
            )
        )
        history = self.spark.sql(f"DESCRIBE HISTORY {self.sql}").where("operation = 'MERGE'").limit(1)
        metrics = history.collect()[0]["operationMetrics"]
        merge = int(metrics["executionTimeMs"]) / 1000
        return {
            "seconds": took,
            "merge": merge,
            "written": Rewritten.by([metrics]).bytes,
            "rows": report.labeled,
        }

    def change(self, rows: int, total: int) -> None:
        """New texts for rows all over the table."""
        self.spark.sql(
            f"UPDATE {self.sql} SET text = concat(text, '!') WHERE id % {total // rows} = 0"
        ).collect()


def live_heap(spark: SparkSession) -> float:
    """MiB that are in use in the driver's JVM after a full collection."""
    process = spark.sparkContext._gateway.proc.pid  # spark-submit execs java: the same process
    subprocess.run(["jcmd", str(process), "GC.run"], check=True, capture_output=True)
    told = subprocess.run(
        ["jcmd", str(process), "GC.heap_info"], check=True, capture_output=True, text=True
    ).stdout
    # Whichever collector it has: each of its parts has a line "... total 1024K, used 512K", the classes' come last.
    heap = told.partition("Metaspace")[0]
    return sum(int(used) for used in re.findall(r"total \d+K, used (\d+)K", heap)) / 1024


def measured(spark: SparkSession, folder: Path, rows: int) -> dict[str, float]:
    """The first pass over so many rows, then one over 1,000 that changed."""
    table = LargeTable(spark, folder / f"t{rows}", rows)
    found = {"rows": float(rows), "table MiB": table.bytes / 2**20, "function": table.function()}
    first = table.pass_over()
    found |= {f"first {name}": value for name, value in first.items()}
    found |= {
        "heap MiB": live_heap(spark),
        "python MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    table.change(_CHANGED, rows)
    found["function, changed rows"] = table.function(_CHANGED)
    found |= {f"second {name}": value for name, value in table.pass_over().items()}
    spark.sql(f"ALTER TABLE {table.sql} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")
    table.change(_CHANGED, rows)
    size = table.bytes
    third = table.pass_over()
    found |= {f"third {name}": value for name, value in third.items()}
    found["third share of bytes"] = third["written"] / size
    found["second over"] = found["second seconds"] - found["function, changed rows"]
    found["third over"] = third["seconds"] - found["function, changed rows"]
    return found


def shown(results: list[dict[str, float]]) -> Table:
    table = Table(title="A pass beside its model")
    table.add_column("")
    for found in results:
        table.add_column(f"{found['rows']:,.0f} rows", justify="right")
    lines: dict[str, Callable[[dict[str, float]], str]] = {
        "table, MiB": lambda f: f"{f['table MiB']:,.0f}",
        "the function alone, s": lambda f: f"{f['function']:,.1f}",
        "first pass, s (of which MERGE)": lambda f: f"{f['first seconds']:,.1f} ({f['first merge']:,.1f})",
        "1,000 changed rows: the function, s": lambda f: f"{f['function, changed rows']:,.1f}",
        "second pass, s (MERGE)": lambda f: f"{f['second seconds']:,.1f} ({f['second merge']:,.1f})",
        "  more than the function, s (target 15)": lambda f: f"{f['second over']:,.1f}",
        "  written, MiB": lambda f: f"{f['second written'] / 2**20:,.1f}",
        "with deletion vectors, s (MERGE)": lambda f: f"{f['third seconds']:,.1f} ({f['third merge']:,.1f})",
        "  more than the function, s": lambda f: f"{f['third over']:,.1f}",
        "  written, of the table's bytes (target 5%)": lambda f: f"{f['third share of bytes']:.2%}",
        "driver: alive in the JVM, MiB": lambda f: f"{f['heap MiB']:,.0f}",
        "driver: Python's peak so far, MiB": lambda f: f"{f['python MiB']:,.0f}",
    }
    for name, line in lines.items():
        table.add_row(name, *(line(found) for found in results))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    console = Console()
    console.print(paragraph())
    spark = sl.spark_session()
    with tempfile.TemporaryDirectory() as folder:
        measured(spark, Path(folder) / "warm", 2 * _CHANGED)
        results = []
        for rows in (arguments.rows // 10, arguments.rows):
            results.append(measured(spark, Path(folder), rows))
            console.print(shown(results))
    if arguments.out:
        arguments.out.write_text(json.dumps({"machine": machine(), "results": results}, indent=2))


if __name__ == "__main__":
    main()
