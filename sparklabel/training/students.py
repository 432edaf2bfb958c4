"""What a fine-tuning trains, by the method that was asked for: a version's files, and what came of them.

In: what was read for a fine-tuning. Out: a `Student`. Nothing is registered or judged here.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession

from sparklabel import registry
from sparklabel.progress import WorkProgress
from sparklabel.training.attempts import trainer
from sparklabel.training.classifier_fit import fit_to_answers, open_encoder, write_version
from sparklabel.training.control import RunControl
from sparklabel.training.finished_training import finished_training
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
    remove: Callable[[], None] = lambda: None


def train_student(
    spark: SparkSession, inputs: FinetuneInputs, run: registry.Run, control: RunControl, folder: Path
) -> Student:
    """Trains by the call's method; the version's files are in the folder then. Raises what `finetune` does."""
    if inputs.call.method == "classifier":
        return _classifier(inputs, run, control, folder)
    kept = finished_training(inputs.job(), trainer(spark, inputs.processes, control.end), run, control)
    kept.copy_files(folder)
    outcome, summary = kept.outcome, kept.outcome.summary
    return Student(
        method="lora", base=inputs.base.identity, loss=summary.loss, seconds=summary.seconds, steps=summary.steps,
        tokens_per_second=summary.tokens / summary.seconds, truncated=outcome.truncated,
        probe_accuracy=outcome.probe_accuracy, processes=outcome.processes, attempts=outcome.attempts,
        remove=kept.remove,
    )  # fmt: skip


def _classifier(inputs: FinetuneInputs, run: registry.Run, control: RunControl, folder: Path) -> Student:
    task, encoder = inputs.call.task, inputs.encoder
    assert encoder is not None, "read with the inputs"
    with WorkProgress(
        f"fitting a classifier for {task.name}", 1, control.progress, "sentence vectors"
    ) as bar:
        fitted = fit_to_answers(task, open_encoder(encoder), inputs.answers.train)
        bar.advance(1, f"{fitted.fit.accuracy:.1%} right")
    write_version(task, encoder, fitted.classifier, folder)
    run.log_params({"classifier.weights": json.dumps(fitted.classifier.pool.weights)})
    fit = fitted.fit
    run.log_metrics(
        {"classifier.accuracy": fit.accuracy, "classifier.loss": fit.loss, "train_seconds": fitted.seconds}
    )
    return Student(
        method="classifier", base=encoder.identity, loss=fit.loss, seconds=fitted.seconds,
        classifier=fitted.sentence,
    )  # fmt: skip
