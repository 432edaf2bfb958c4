"""One set of the quality benchmark: its rows, and what models make of them."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.quality.data_set import load_data_set, read_rows
from sparklabel import registry
from sparklabel.classifiers.features import TextReader
from sparklabel.engines.encoder import EncoderEngine
from sparklabel.engines.transformers import TransformersEngine
from sparklabel.evaluation.metrics.summary import Metrics, measure
from sparklabel.labeler import Labeler, RowClassifier
from sparklabel.labeler.zero_shot import MIXED
from sparklabel.language_model import TrainingConfig
from sparklabel.models.encoders import resolve_encoder
from sparklabel.models.manifest import ModelManifest
from sparklabel.models.references import DEFAULT
from sparklabel.models.shipped_encoder import ENCODER
from sparklabel.table.human_answers import HumanAnswer, HumanAnswers
from sparklabel.tasks import Scored, Task
from sparklabel.tasks.classification import Classification
from sparklabel.training.attempts import train_here
from sparklabel.training.baseline import judged_spec
from sparklabel.training.call import AUTO, FinetuneCall
from sparklabel.training.classifier_fit import AnsweredRows, fit_heads, open_encoder, tune, write_version
from sparklabel.training.control import RunControl
from sparklabel.training.inputs import FinetuneInputs
from sparklabel.training.job import TrainingJob
from sparklabel.training.processes import Processes
from sparklabel.training.selection import train_student
from sparklabel.udf import load_engine, make_labeler


class Measured:
    """One set: its rows, drawn with a fixed seed, and what models make of them."""

    def __init__(self, name: str, folder: Path, train: int, test: int) -> None:
        self.name, self.data = name, load_data_set(name)
        trained = read_rows(folder / self.data.train) if self.data.train else []
        tested = read_rows(folder / self.data.test)
        self.task = self.data.build_task(trained + tested)
        self.train = [self.data.build_row(self.task, row) for row in trained[:train]]
        self.test = [self.data.build_row(self.task, row) for row in tested[:test]]

    def ask(
        self, task: Task, base: Path, adapter: Path | None = None, manifest: ModelManifest | None = None
    ) -> Metrics:
        """The figures of a model on the test rows."""
        engine = TransformersEngine.load(base, adapter)
        return self.measured(Labeler(task, engine, model=self.name, manifest=manifest))

    def measured(self, labeler: Labeler) -> Metrics:
        """The figures of a labeler on the test rows."""
        task, labels = self.task, labeler.label([inputs for inputs, _ in self.test])
        return measure(
            task.answer_mode, [answer for _, answer in self.test], [label.value for label in labels],
            [label.confidence for label in labels], [label.status for label in labels],
        )  # fmt: skip

    def zero_shot(self, base: Path) -> dict[str, Metrics]:
        """The base model's figures; of scored kinds with prior correction too, and of classifications mixed with the
        likeness to the labels' names."""
        found = {"zero-shot": self.ask(self.task, base)}
        if isinstance(self.task.answer_mode, Scored):
            corrected = self.task.model_copy(update={"prior": "content_free"})
            found["prior-corrected"] = self.ask(corrected, base)
        if isinstance(self.task, Classification):
            engine = TransformersEngine.load(base)
            found["mixed"] = self.measured(Labeler(self.task, engine, model=self.name, zero_shot=MIXED))
        return found

    def fine_tuned(self, base: Path, config: TrainingConfig) -> tuple[Metrics, dict[str, Any]]:
        """The figures of a model that learned from the training rows, and what the training took."""
        people = tuple(HumanAnswer(inputs, answer, None) for inputs, answer in self.train)
        # The test rows take the place of held-out answers: the probe is judged on them.
        judges = tuple(HumanAnswer(inputs, answer, None) for inputs, answer in self.test)
        job = TrainingJob.prepare(
            self.task, registry.resolve(DEFAULT), HumanAnswers(people, judges, {}), config
        )
        with tempfile.TemporaryDirectory() as tmp, registry.start_run("quality", experiment="quality") as run:
            outcome = job.train(train_here, Path(tmp), run, RunControl())
            manifest = ModelManifest.from_json((Path(tmp) / registry.MANIFEST).read_text("utf-8"))
            metrics = self.ask(self.task, base, Path(tmp) / "adapter", manifest)
        summary = outcome.summary
        return metrics, {
            "probe": outcome.probe_accuracy, "steps": summary.steps, "epochs": summary.config.epochs,
            "train_seconds": summary.seconds,
        }  # fmt: skip

    def classified(self, *, is_tuned: bool) -> tuple[Metrics, dict[str, Any]]:
        """The figures of a classifier that learned from the training rows; `is_tuned`: its encoder did, too."""
        answers = [HumanAnswer(inputs, answer, None) for inputs, answer in self.train]
        reference = resolve_encoder(ENCODER)
        answered, encoder = AnsweredRows.of(self.task, answers), open_encoder(reference)
        fitted = tune(answered, encoder, lambda *_: None) if is_tuned else fit_heads(answered, encoder)
        with tempfile.TemporaryDirectory() as tmp:
            write_version(self.task, reference, fitted.classifier, Path(tmp), None)
            manifest = ModelManifest.from_json((Path(tmp) / registry.MANIFEST).read_text("utf-8"))
        engine = EncoderEngine(encoder)
        reader = RowClassifier(fitted.classifier, TextReader(self.task, encoder))
        labeler = Labeler(self.task, engine, model=self.name, manifest=manifest, classifier=reader)
        started = time.monotonic()
        metrics = self.measured(labeler)
        rows_per_second = len(self.test) / (time.monotonic() - started)
        return metrics, {"seconds": fitted.seconds, "rows_per_second": rows_per_second}

    def chosen(self, config: TrainingConfig) -> tuple[Metrics, dict[str, Any]]:
        """The figures of what the training rows chose, trained on all of them."""
        people = tuple(HumanAnswer(inputs, answer, None) for inputs, answer in self.train)
        inputs = FinetuneInputs(
            call=FinetuneCall(table=self.name, task=self.task, method=AUTO, config=config), processes=Processes(),
            opened=None, answers=HumanAnswers(people, (), {}), base=registry.resolve(DEFAULT),
            encoder=resolve_encoder(ENCODER), registered_name=self.name, examples=None,
        )  # fmt: skip
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as tmp, registry.start_run("quality", experiment="quality") as run:
            student = train_student(None, inputs, run, RunControl(), Path(tmp))
            seconds = time.monotonic() - started
            with registry.unregistered_version(Path(tmp)) as model:
                spec = judged_spec(self.task, model)
                labeler = make_labeler(spec, load_engine(spec.engine, spec.model))
                started = time.monotonic()
                metrics = self.measured(labeler)
                rows_per_second = len(self.test) / (time.monotonic() - started)
        student.remove()
        return metrics, {
            "seconds": seconds,
            "rows_per_second": rows_per_second,
            "selection": student.selection,
        }

    def run(self, config: TrainingConfig, ways: Sequence[str]) -> dict[str, Any]:
        """The figures of the set, by these ways."""
        started, base = time.monotonic(), registry.fetch(registry.resolve(DEFAULT)).base
        found, details = self.zero_shot(base) if "zero-shot" in ways else {}, {}
        if self.train and "lora" in ways:
            found["fine-tuned"], details = self.fine_tuned(base, config)
        for way in ("classifier", "encoder"):
            if self.train and way in ways and isinstance(self.task.answer_mode, Scored):
                found[way], of = self.classified(is_tuned=way == "encoder")
                details |= {f"{way}_{name}": value for name, value in of.items()}
        if self.train and "auto" in ways:
            found["auto"], of = self.chosen(config)
            details |= {f"auto_{name}": value for name, value in of.items()}
        return {
            "source": self.data.source, "metric": self.data.metric, "published": self.data.published,
            "train": len(self.train), "test": len(self.test), "seconds": time.monotonic() - started, **details,
            **{way: metrics.figures() for way, metrics in found.items()},
        }  # fmt: skip
