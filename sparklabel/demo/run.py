"""The demo: the whole loop on one machine, on movie reviews or on a JSON Lines file.

In: a folder to work in. Out: Delta tables, an MLflow store, and a table of results on rows that were set aside first.
Only the people are simulated, by the gold column: in one UPDATE, or in the review page. Everything else is real.
"""

import os
import re
import time
from pathlib import Path

from pyspark.sql import SparkSession
from rich.console import Console
from rich.table import Table

from sparklabel import registry
from sparklabel.delta.session import spark_session
from sparklabel.demo.browser import answer_in_browser, chromium
from sparklabel.demo.data import DemoData, key_hash, movie_reviews, read_jsonl, split_rows
from sparklabel.errors import SetupError
from sparklabel.evaluation import EvaluationReport, Metrics, evaluate, measure
from sparklabel.labeler.zero_shot import LM
from sparklabel.labeling import PassReport, label_table
from sparklabel.labels.status import OK
from sparklabel.models.references import DEFAULT
from sparklabel.probe.linear import probe_answers
from sparklabel.reviewing.serve import review
from sparklabel.table.human_answers import human_answers
from sparklabel.table.task_table import open_task_table
from sparklabel.tasks import Classification
from sparklabel.training.finetune import finetune
from sparklabel.training.frozen_base import FrozenBase
from sparklabel.training.report import TrainingReport

TABLE, TEST_TABLE = "reviews", "reviews_test"
_ANSWERS, _ANSWERS_IN_PAGE = 800, 400


def run_demo(
    directory: Path,
    rows: int,
    answers: int | None,
    data: Path | None,
    text: str,
    label: str,
    *,
    people: bool = False,
) -> None:
    """Runs the loop in `directory`. A second run there replaces the tables and keeps MLflow's history.

    Args:
        directory: Everything is written here.
        rows: How many are labeled.
        answers: How many of them people answer; None: 800, or 400 in the review page.
        data, text, label: A JSON Lines file instead of the movie reviews, and its fields.
        people: Whether answers are given in the review page, by a scripted person with a browser.

    Raises SetupError if the data or the browser is missing or too small, and what the steps raise.
    """
    if people:
        chromium()
    answers = answers or (_ANSWERS_IN_PAGE if people else _ANSWERS)
    started, console = time.monotonic(), Console(highlight=False)
    loaded = split_rows(read_jsonl(data, text, label) if data else movie_reviews(), rows, answers)
    directory = directory.resolve()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(
            f"Cannot make the folder {directory}: {error.strerror}", hint="Name another with --dir."
        ) from None
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{directory / 'mlflow.db'}"
    console.print(f"[bold]sparklabel demo[/] in {directory}")
    spark = spark_session({"spark.sql.warehouse.dir": str(directory / "warehouse")})
    # Another file is another problem: models are not compared with its champion.
    name = "-".join(["demo", loaded.task.name, *([re.sub(r"\W+", "_", data.stem)] if data else [])])
    _Demo(spark, directory, console, loaded, answers, name, forced=data is not None, people=people).run()
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
        registered_name: str,
        forced: bool,
        people: bool,
    ) -> None:
        self.spark, self.directory, self.console, self.data = spark, directory, console, data
        self.registered_name, self.people = registered_name, people
        self.task, self.answers, self.forced = data.task, answers, forced

    def run(self) -> None:
        self._step("1/7", f"Delta tables: {TABLE} ({len(self.data.pool):,} rows) and {TEST_TABLE} "
                   f"({len(self.data.test):,} rows set aside by key hash; nothing learns from them)")  # fmt: skip
        self._make_tables()
        self._step(
            "2/7",
            f"Evaluate {DEFAULT} without training: alone, then mixed with the labels' names",
        )
        alone = self._evaluate(self.task.model_copy(update={"zero_shot": LM, "prior": "content_free"}))
        mixed = self._evaluate(self.task)
        self._step("3/7", f"First pass: label {TABLE} in place")
        first = self._label(DEFAULT)
        if self.people:
            self._step("4/7", f"People answer {self.answers:,} rows in the review page (a scripted browser)")
            self._answer_in_page()
        else:
            self._step("4/7", f"People answer {self.answers:,} rows (simulated by the gold column)")
            self._answer()
        self._step("5/7", "Fine-tune on the answers, log to MLflow, let the gate decide")
        training = finetune(
            self.spark,
            TABLE,
            self.task,
            key="id",
            force=self.forced,
            registered_name=self.registered_name,
        )
        self.console.print(str(training))
        model = training.model
        self._step("6/7", "Second pass: the new champion answers the rows that people did not")
        if training.champion is None:
            self.console.print("The gate did not promote the model, so there is no second pass.")
        second = (
            self._label(f"models:/{training.registered_name}@champion", "model")
            if training.champion
            else None
        )
        self._step("7/7", "Results: the new model on the test rows")
        tuned = self._evaluate(self.task, model)
        self._summary(alone, mixed, tuned, self._probe(), training, first, second)

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
        self.console.print(f"accuracy {report.accuracy:.1%} ({report.seconds:.0f} s)")
        return report

    def _label(self, model: str, relabel: str = "task") -> PassReport:
        report = label_table(self.spark, TABLE, self.task, key="id", model=model, relabel=relabel)
        self.console.print(str(report))
        return report

    def _answer(self) -> None:
        """One plain UPDATE. It is an answer whether it changes the value or confirms it."""
        last = sorted(key_hash(f"answer {key}") for key in self.data.pool["id"])[self.answers - 1]
        name = self.task.name
        update = (
            f"UPDATE {TABLE} SET {name} = gold, {name}_label.source = 'human' "
            f"WHERE sha2(concat('answer ', id), 256) <= '{last}'"
        )
        self.console.print(f"[dim]{update}[/]")
        changed = self.spark.sql(update).collect()[0]["num_affected_rows"]
        self.console.print(f"{changed:,} rows answered")

    def _answer_in_page(self) -> None:
        """A quarter of the answers judge, the others teach. What an earlier demo left is not asked again."""
        journal = self.directory / "review.db"
        for left in self.directory.glob(f"{journal.name}*"):
            left.unlink()
        answers_table = f"{TABLE}_{self.task.name}_answers"
        self.spark.sql(f"DROP TABLE IF EXISTS {answers_table}")
        judges = self.answers // 4
        gold = dict(zip(self.data.pool["id"], self.data.pool["gold"], strict=True))
        with review(
            self.spark, TABLE, self.task, key="id", journal=journal, answers=answers_table, port=0,
            audit_share=0.25, judges=judges, goal=self.answers,
        ) as app:  # fmt: skip
            self.console.print(f"[dim]{app.url}[/] (open it to look on)", soft_wrap=True)
            found = answer_in_browser(app.url, self.task, gold, self.answers, self.console.print)
            report = app.stop()
        self.console.print(f"{found.rows:,} rows answered, {found.blind:,} of them blind: these judge")
        self.console.print(str(report))

    def _probe(self) -> Metrics:
        """Logistic regression over the frozen base, trained on the same answers as the new model: the baseline without
        fine-tuning."""
        states = FrozenBase.open(self.task, registry.resolve(DEFAULT)).states
        opened = open_task_table(self.spark, TABLE, self.task, "id")
        answers = human_answers(self.spark, opened, self.task).train
        train = [([text or "" for text in a.inputs], a.answer) for a in answers]
        names, gold = self.task.label_names, list(self.data.test["gold"])
        found = probe_answers(states, train, [[t] for t in self.data.test["text"]], names)
        values, confidence = zip(*found, strict=True)
        return measure(self.task.answer_mode, gold, values, confidence, [OK] * len(gold))

    def _summary(
        self, alone: EvaluationReport, mixed: EvaluationReport, tuned: EvaluationReport,
        probe: Metrics, training: TrainingReport, first: PassReport, second: PassReport | None,
    ) -> None:  # fmt: skip
        table = Table(title=f"{self.task.name} on {len(self.data.test):,} test rows", title_justify="left")
        for heading in ("", "accuracy", "confidence AUROC", "ECE", "prompt tokens"):
            table.add_column(heading, justify="right" if heading else "left")
        if mixed.metrics.majority:
            label, share = mixed.metrics.majority
            table.add_row(f"always {label!r}", f"{share:.1%}", "-", "-", "-")
        for name, metrics, tokens in (
            ("zero-shot, model alone", alone.metrics, alone.prompt_tokens),
            ("zero-shot, with names", mixed.metrics, mixed.prompt_tokens),
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
        speeds = f"{first.inputs_per_second or 0:,.1f} inputs/s in the first pass"
        if second and second.inputs_per_second:
            speeds += f", {second.inputs_per_second:,.1f} in the second"
        self.console.print(
            f"{speeds}\n{TABLE} went from version {first.version_before} to "
            f"{(second or first).version_after}: DESCRIBE HISTORY delta.`{self.directory / TABLE}`\n"
            f"MLflow run {training.run_id}; look at it: "
            f"mlflow ui --backend-store-uri {os.environ['MLFLOW_TRACKING_URI']}",
            soft_wrap=True,
        )
