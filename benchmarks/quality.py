"""How good answers are, before and after fine-tuning: `python -m benchmarks.quality --folder DIR [--only NAME ...]`.

DIR holds the public data sets as JSON lines (NAME_train.jsonl and NAME_test.jsonl): banking77, sst2, walmart_amazon,
restaurant8k, wnut17. For each: zero-shot (scored kinds with prior correction too), fine-tuned on up to --train rows
with the product's own recipe, prompt and card, and the linear probe where there are classes; all on the same --test
rows, which train nothing. No Spark, no gate.
"""

import argparse
import json
import os
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import sparklabel as sl
from benchmarks.machine import machine, paragraph
from sparklabel import registry
from sparklabel.engines.transformers import TransformersEngine
from sparklabel.evaluation.metrics.summary import Metrics, measure
from sparklabel.labeler import Labeler
from sparklabel.language_model import TrainingConfig
from sparklabel.models.manifest import AdapterManifest
from sparklabel.models.references import DEFAULT
from sparklabel.table.human_answers import HumanAnswer, HumanAnswers
from sparklabel.tasks import Scored, Task
from sparklabel.training.job import TrainingJob

Rows = list[tuple[tuple[str, ...], Any]]
_SIDES = ("title", "brand", "modelno", "price")


@dataclass(frozen=True)
class DataSet:
    """How a set becomes a task and rows of (inputs, answer)."""

    task: Callable[[list[dict[str, Any]]], Task]
    answer: Callable[[dict[str, Any]], Any]


def _labels(name: str) -> Callable[[list[dict[str, Any]]], Task]:
    return lambda rows: sl.classification(name, "text", sorted({row["label"] for row in rows}))


SETS = {
    "banking77": DataSet(_labels("intent"), lambda row: row["label"]),
    "sst2": DataSet(_labels("sentiment"), lambda row: row["label"]),
    "walmart_amazon": DataSet(
        lambda rows: sl.matching(
            "same", [f"left_{c}" for c in _SIDES], [f"right_{c}" for c in _SIDES],
            "Do the two records offer the same product?",
        ),
        lambda row: row["label"] == "match",
    ),
    "restaurant8k": DataSet(
        lambda rows: sl.extraction(
            "booking", "text", dict.fromkeys(("date", "time", "people", "first_name", "last_name"), "string"),
            "What does the guest say about a booking? Use the guest's own words.",
        ),
        lambda row: {name: row["fields"].get(name) for name in ("date", "time", "people", "first_name", "last_name")},
    ),
    "wnut17": DataSet(
        lambda rows: sl.entities("names", "text", sorted({e["type"] for row in rows for e in row["entities"]})),
        lambda row: row["entities"],
    ),
}  # fmt: skip


class Measured:
    """One set: its rows, drawn with a fixed seed, and what models make of them."""

    def __init__(self, name: str, folder: Path, train: int, test: int) -> None:
        found = SETS[name]
        rows = {part: _read(folder / f"{name}_{part}.jsonl") for part in ("train", "test")}
        self.name, self.task = name, found.task(rows["train"] + rows["test"])
        self.train, self.test = (
            [(tuple(row[c] or "" for c in self.task.inputs), found.answer(row)) for row in rows[part][:most]]
            for part, most in (("train", train), ("test", test))
        )

    def ask(
        self, task: Task, base: Path, adapter: Path | None = None, manifest: AdapterManifest | None = None
    ) -> Metrics:
        engine = TransformersEngine.load(base, adapter)
        labels = Labeler(task, engine, model=self.name, manifest=manifest).label(
            [inputs for inputs, _ in self.test]
        )
        return measure(
            task.answer_mode, [answer for _, answer in self.test], [label.value for label in labels],
            [label.confidence for label in labels], [label.status for label in labels],
        )  # fmt: skip

    def run(self, config: TrainingConfig, say: Callable[[str], None]) -> dict[str, Any]:
        resolved = registry.resolve(DEFAULT)
        base, found = registry.fetch(resolved).base, {}
        found["zero-shot"] = self.ask(self.task, base)
        say(f"{self.name}: zero-shot {found['zero-shot'].figures()}")
        if isinstance(self.task.answer_mode, Scored):
            corrected = self.task.model_copy(update={"prior": "content_free"})
            found["prior-corrected"] = self.ask(corrected, base)
        people = tuple(HumanAnswer(inputs, answer, None) for inputs, answer in self.train)
        # The test rows stand where the held-out answers would: the probe is judged on them.
        judges = tuple(HumanAnswer(inputs, answer, None) for inputs, answer in self.test)
        job = TrainingJob.prepare(self.task, resolved, HumanAnswers(people, judges, {}), config)
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as tmp, registry.start_run("quality", experiment="quality") as run:
            outcome = job.train(Path(tmp), run, progress=True)
            manifest = AdapterManifest.from_json((Path(tmp) / registry.CARD).read_text("utf-8"))
            found["fine-tuned"] = self.ask(self.task, base, Path(tmp) / "adapter", manifest)
        say(f"{self.name}: fine-tuned {found['fine-tuned'].figures()}")
        summary = outcome.summary
        return {
            "train": len(self.train), "test": len(self.test), "probe": outcome.probe_accuracy, "steps": summary.steps,
            "epochs": summary.config.epochs, "train_seconds": summary.seconds,
            "seconds": time.monotonic() - started,
            **{way: metrics.figures() for way, metrics in found.items()},
        }  # fmt: skip


def _read(path: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    random.Random(0).shuffle(rows)
    return rows


def table(results: dict[str, dict[str, Any]]) -> Table:
    shown = Table(title="Accuracy (answers that say just what gold says), and the kind's own figures")
    for heading in (
        "",
        "answers",
        "test",
        "zero-shot",
        "prior-corrected",
        "probe",
        "fine-tuned",
        "its figures",
    ):
        shown.add_column(heading, justify="left" if heading in ("", "its figures") else "right")
    for name, of in results.items():
        ways = (of.get(way, {}).get("accuracy") for way in ("zero-shot", "prior-corrected"))
        tuned = of["fine-tuned"]
        own = {k: v for k, v in tuned.items() if "f1" in k or k in ("confidence_auroc", "ece", "exact")}
        shown.add_row(
            name, str(of["train"]), str(of["test"]), *(_percent(p) for p in (*ways, of["probe"], tuned["accuracy"])),
            ", ".join(f"{k} {v:.3f}" for k, v in own.items()),
        )  # fmt: skip
    return shown


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--only", nargs="*", choices=list(SETS), default=list(SETS))
    parser.add_argument("--train", type=int, default=3000)
    parser.add_argument("--test", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    console = Console()
    console.print(paragraph())
    results = {}
    with tempfile.TemporaryDirectory() as store:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{store}/mlflow.db"
        for name in arguments.only:
            measured = Measured(name, arguments.folder, arguments.train, arguments.test)
            results[name] = measured.run(TrainingConfig(epochs=arguments.epochs), console.print)
            console.print(table(results))
    if arguments.out:
        arguments.out.write_text(json.dumps({"machine": machine(), "results": results}, indent=2))


if __name__ == "__main__":
    main()
