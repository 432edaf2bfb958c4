"""What Spark adds to the model's own work: `python -m benchmarks.speed.passes [--rows 2000] [--out FILE]`.

Overhead: `label_udf` over rows in memory, with a model in each worker and with a shared one, against the same labeler
called in this process on as many rows with all threads; all warm, in turn, on rows that are new to each of them.
Duplicates: `label_table` on a table of distinct rows, against the same rows ten times over. Targets: 1.05 and 1.2.
"""

import statistics
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame, SparkSession

import sparklabel as sl
from benchmarks.harness import add_texts, argument_parser, figure_table, finish, labeled_texts, seconds
from sparklabel.machine import cores
from sparklabel.tasks import Task
from sparklabel.udf import LabelerSpec, labeler_spec, load_engine, make_labeler


class Passes:
    """Rows with a number at their end that is new in each round, so that nothing answers them from memory."""

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
            frame.cache().count()  # making the rows is not the work of the function
            self.seconds, _ = seconds(
                lambda: frame.select(udf("text").alias("label")).write.format("noop").mode("overwrite").save()
            )

        def direct() -> None:
            rows = [[text] for text in self.new_rows()["text"]]
            self.seconds, _ = seconds(lambda: labeler.label(rows))

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
                yield {f"{name}, with its start": each for name, each in took.items()}

    def duplicates(self, rounds: int, folder: Path) -> Iterator[dict[str, float]]:
        for number in range(rounds + 1):
            took = {}
            for name, times in (("distinct", 1), ("ten times", 10)):
                path = str(folder / f"{number}-{times}")
                frame = self.spark.createDataFrame(self.new_rows())
                copies = self.spark.range(times).withColumnRenamed("id", "copy")
                frame.crossJoin(copies).write.format("delta").save(path)
                took[name], _ = seconds(
                    lambda path=path: sl.label_table(
                        self.spark, path, self.task, key=["id", "copy"], progress=False
                    )
                )
            if number:
                yield took | {"ratio": took["ten times"] / took["distinct"]}


def main() -> None:
    parser = argument_parser(__doc__, rows=2000, rounds=3)
    add_texts(parser)
    arguments = parser.parse_args()
    task, frame = labeled_texts(arguments)
    figures: dict[str, Any] = {}
    table = figure_table("What Spark adds", "", "median ratio", "rounds")
    with tempfile.TemporaryDirectory() as folder:
        passes = Passes(sl.spark_session(), task, frame["text"].tolist(), arguments.rows)
        for what, rounds in (
            ("label_udf against the labeler", passes.overhead(arguments.rounds)),
            ("ten copies against distinct rows", passes.duplicates(arguments.rounds, Path(folder))),
        ):
            found = []
            for took in rounds:
                print(what, {name: round(value, 2) for name, value in took.items()}, flush=True)
                if "ratio" in took:
                    found.append(took)
            median = statistics.median(took["ratio"] for took in found)
            table.add_row(what, f"{median:.2f}", str(len(found)))
            figures[what] = {"rounds": found, "median": median}
    finish(arguments, table, figures)


if __name__ == "__main__":
    main()
