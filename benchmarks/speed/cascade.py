"""A classifier, an adapter, and the two in a cascade, through Spark: rows a second, and how right they are.

    python -m benchmarks.speed.cascade --data DIR [--only banking77] [--answers 3000] [--held-out 600] [--rows 1000]
        [--tune-encoder]

Both learn the same answers of a set's training part. The next ones, from which neither has learned, give the threshold
as `fallback_below="auto"` finds it: the lowest at which the cascade loses at most a point against the adapter alone.
The test part is asked through the column function, on two task slots, in turn. Workers remember what they answered, so
each round has rows of its own and each way a labeler of its own; the first round, which loads the models, is not
counted. Only ratios of one round count.
"""

import argparse
import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Row, SparkSession

import sparklabel as sl
from benchmarks.harness import argument_parser, figure_table, finish, seconds
from benchmarks.quality import every_set, labels_of, taught
from sparklabel.benchmarking.entries import Entry
from sparklabel.benchmarking.suite import SetRows, read_set
from sparklabel.confidence.cascade import lowest_threshold
from sparklabel.intervals import wilson_interval
from sparklabel.models.references import DEFAULT
from sparklabel.training.call import CLASSIFIER, LORA
from sparklabel.udf import LabelerSpec, udf_of
from sparklabel.udf.spec import Fallback


def judged(spec: LabelerSpec, rows: Sequence[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How sure the model is of each answer, and how right it is."""
    labels = labels_of(spec, rows)
    agreement = spec.task.answer_mode.agreement
    right = [agreement(gold, label.value) for (_, gold), label in zip(rows, labels, strict=True)]
    return np.array([label.confidence for label in labels], dtype=np.float64), np.array(right)


def texts_of(spark: SparkSession, found: SetRows, rows: int, parts: int) -> list[DataFrame]:
    """The test rows with their `number`, divided into parts, each over two task slots."""
    numbered = [(number, *texts) for number, (texts, _) in enumerate(found.test[:rows])]
    columns = ", ".join(f"`{name}` STRING" for name in found.task.inputs)
    return [
        spark.createDataFrame(numbered[part::parts], f"number INT, {columns}").repartition(2).cache()
        for part in range(parts)
    ]


def with_own_labeler(spec: LabelerSpec, number: int) -> LabelerSpec:
    """The same spec, not equal to those of other ways, so that workers open a labeler for it that remembers nothing
    of theirs: no answer is withheld below a confidence of a billionth."""
    fallback = spec.fallback and replace(spec.fallback, spec=with_own_labeler(spec.fallback.spec, number))
    return replace(spec.withholding(1e-9 / (number + 1)), fallback=fallback)


def answered(spec: LabelerSpec, texts: DataFrame) -> list[Row]:
    label = udf_of(spec)(*spec.task.inputs).alias("label")
    return texts.select("number", label).select("number", "label.value", "label.model").collect()


def main() -> None:
    parser = argument_parser(__doc__, rows=1000, rounds=3)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the sets' files")
    parser.add_argument("--only", default="banking77", help="the set")
    parser.add_argument("--answers", type=int, default=3000)
    parser.add_argument("--held-out", type=int, default=600)
    parser.add_argument("--tune-encoder", action="store_true", help="train the classifier's encoder, too")
    arguments = parser.parse_args()
    found = read_set(arguments.only, every_set()[arguments.only], arguments.data)
    held_out = found.train[arguments.answers : arguments.answers + arguments.held_out]
    spark = sl.spark_session({"spark.master": "local[2]"})
    with ExitStack() as stack:
        entries = [
            Entry(DEFAULT, CLASSIFIER, method=CLASSIFIER, tune_encoder=arguments.tune_encoder),
            Entry(DEFAULT, LORA, method=LORA),
        ]
        specs = {
            entry.name: stack.enter_context(taught(arguments.only, found, entry, arguments.answers))[0]
            for entry in entries
        }
        first, second = (judged(specs[name], held_out) for name in (CLASSIFIER, LORA))
        threshold = lowest_threshold(*first, second[1])
        if threshold is not None:
            fallback = Fallback(specs[LORA], threshold.below)
            specs["cascade"] = replace(specs[CLASSIFIER], fallback=fallback)
        own = {name: with_own_labeler(spec, number) for number, (name, spec) in enumerate(specs.items())}
        figures = measured(own, found, texts_of(spark, found, arguments.rows, arguments.rounds + 1))
    figures |= {"below": threshold.below if threshold else None, "held_out": len(held_out)}
    report(arguments, figures)


def measured(specs: dict[str, LabelerSpec], found: SetRows, parts: Sequence[DataFrame]) -> dict[str, Any]:
    rates: dict[str, list[float]] = {name: [] for name in specs}
    rows: dict[str, list[Row]] = {name: [] for name in specs}
    for number, texts in enumerate(parts):
        count = texts.count()  # and Spark keeps them
        for name, spec in specs.items():
            took, answers = seconds(lambda: answered(spec, texts))  # noqa: B023 called at once
            rows[name] += answers
            rates[name] += [count / took] if number else []
    figures = {}
    for name, answers in rows.items():
        right = sum(row["value"] == found.test[row["number"]][1] for row in answers)
        ratios = [own / other for own, other in zip(rates[name], rates[LORA], strict=True)]
        figures[name] = {
            "rows_per_second": statistics.median(rates[name]),
            "over_adapter": statistics.median(ratios),
            "accuracy": right / len(answers),
            "interval": wilson_interval(right, len(answers)),
            "by_classifier": sum(row["model"] == specs[CLASSIFIER].model.identity for row in answers)
            / len(answers),
        }
    return figures


def report(arguments: argparse.Namespace, figures: dict[str, Any]) -> None:
    table = figure_table(
        f"{arguments.only}, {arguments.answers:,} answers", "model", "rows/s", "times the adapter", "% right (95%)",
        "by the classifier",
    )  # fmt: skip
    for name in (CLASSIFIER, LORA, "cascade"):
        if one := figures.get(name):
            low, high = one["interval"]
            table.add_row(
                name, f"{one['rows_per_second']:,.0f}", f"{one['over_adapter']:.2f}",
                f"{one['accuracy']:.1%} ({low:.1%} to {high:.1%})", f"{one['by_classifier']:.0%}",
            )  # fmt: skip
    finish(arguments, table, {"cascade": figures})


if __name__ == "__main__":
    main()
