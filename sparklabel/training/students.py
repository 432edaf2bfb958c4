"""What a fine-tuning trains, by the method that was asked for: a version's files, and what came of them.

In: what was read for a fine-tuning. Out: a `Student`. Nothing is registered or judged here.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from sparklabel import registry
from sparklabel.progress import WorkProgress
from sparklabel.training.attempts import trainer
from sparklabel.training.classifier_fit import AnsweredRows, fit_heads, open_encoder, tune, write_version
from sparklabel.training.control import RunControl
from sparklabel.training.finished_training import answers_content, kept_adapter, kept_training
from sparklabel.training.inputs import FinetuneInputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Student:
    """A trained model in a folder, not registered yet.

    Attributes:
        method: How it was trained.
        base: The identity of what it was trained from.
        loss: In nats for each answer: of an adapter the last epoch's mean, of a classifier that in cross-validation.
        seconds: How long the training took.
        steps: Optimizer steps.
        tokens_per_second: Training tokens.
        truncated: Training answers whose prompt was longer than `TrainingConfig.max_tokens`.
        probe_accuracy: The held-out accuracy of the best probe; None without one.
        processes: How many processes trained at the end.
        attempts: How often they were started.
        classifier: What its classifier reads, in words; empty without one.
        remove: Removes what is kept for another attempt.
        kept_in: The folder that has it.
    """

    method: str
    base: str
    loss: float
    seconds: float
    steps: int = 0
    tokens_per_second: float = 0.0
    truncated: int = 0
    probe_accuracy: float | None = None
    processes: int = 1
    attempts: int = 1
    classifier: str = ""
    remove: Callable[[], None]
    kept_in: Path


def train_student(
    spark: SparkSession, inputs: FinetuneInputs, run: registry.Run, control: RunControl, folder: Path
) -> Student:
    """Trains by the call's method; the version's files are in the folder then. Raises what `finetune` does."""
    if inputs.call.method == "classifier":
        return _classifier(inputs, run, control, folder)
    kept, outcome = kept_adapter(inputs.job(), trainer(spark, inputs.processes, control.end), run, control)
    kept.copy_files(folder)
    summary = outcome.summary
    return Student(
        method="lora", base=inputs.base.identity, loss=summary.loss, seconds=summary.seconds, steps=summary.steps,
        tokens_per_second=summary.tokens / summary.seconds, truncated=outcome.truncated,
        probe_accuracy=outcome.probe_accuracy, processes=outcome.processes, attempts=outcome.attempts,
        remove=kept.remove, kept_in=kept.folder,
    )  # fmt: skip


def _classifier(inputs: FinetuneInputs, run: registry.Run, control: RunControl, folder: Path) -> Student:
    task, encoder, is_tuned = inputs.call.task, inputs.encoder, inputs.call.tune_encoder
    assert encoder is not None, "read with the inputs"
    answered = AnsweredRows.of(task, inputs.answers.train)
    title = f"training an encoder for {task.name}" if is_tuned else f"fitting a classifier for {task.name}"
    with WorkProgress(title, 1, control.progress, "sentence vectors") as bar:

        def on_step(step: int, steps: int, loss: float) -> None:
            control.end.check()
            bar.resize(steps)
            bar.advance(1, f"loss {loss:.3f}")
            run.log_metrics({"loss": loss}, step=step)

        def train(to: Path) -> dict[str, Any]:
            opened = open_encoder(encoder)
            fitted = tune(answered, opened, on_step) if is_tuned else fit_heads(answered, opened)
            write_version(task, encoder, fitted.classifier, to, opened if is_tuned else None)
            return asdict(fitted.fit) | {
                "seconds": fitted.seconds,
                "weights": dict(fitted.classifier.pool.weights),
            }

        content = [
            task.fingerprint, encoder.identity, "classifier", is_tuned, *answers_content(inputs.answers), inputs.own,
        ]  # fmt: skip
        kept = kept_training(content, train, control)
    kept.copy_files(folder)
    found = kept.outcome
    run.log_params({"classifier.weights": json.dumps(found["weights"]), "tune_encoder": is_tuned})
    run.log_metrics(
        {"classifier.accuracy": found["accuracy"], "classifier.loss": found["loss"], "train_seconds": found["seconds"]}
    )  # fmt: skip
    return Student(
        method="classifier", base=encoder.identity, loss=found["loss"], seconds=found["seconds"],
        classifier=_described(found, is_tuned), remove=kept.remove, kept_in=kept.folder,
    )  # fmt: skip


def _described(found: Mapping[str, Any], is_tuned: bool) -> str:
    right = f"{found['accuracy']:.1%} right in cross-validation"
    if is_tuned:
        return f"a classifier over sentence vectors, trained with their encoder ({right} before)"
    weights = ", ".join(f"{source} {weight:.2f}" for source, weight in found["weights"].items())
    return f"a classifier over {weights}: {right}"
