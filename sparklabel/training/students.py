"""What a fine-tuning trains, one method at a time: a version's files, and what came of them.

In: what was read for a fine-tuning. Out: a `Student`. Nothing is registered or judged here.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from sparklabel import registry
from sparklabel.classifiers.classifier import HIDDEN, NAMES, SENTENCE
from sparklabel.errors import EngineError, ModelError, TaskError
from sparklabel.language_model import SentenceEncoder
from sparklabel.models.references import ResolvedModel
from sparklabel.progress import WorkProgress, tell
from sparklabel.redaction import first_line
from sparklabel.training.attempts import trainer
from sparklabel.training.call import CLASSIFIER, LORA
from sparklabel.training.classifier_fit import (
    AnsweredRows,
    FittedClassifier,
    fit_heads,
    open_encoder,
    tune,
    write_version,
)
from sparklabel.training.control import ONE_MODEL, RunControl
from sparklabel.training.finished_training import answers_content, kept_adapter, kept_training
from sparklabel.training.frozen_base import FrozenBase, is_quickly_read
from sparklabel.training.inputs import FinetuneInputs

_READ = {SENTENCE: "sentence vectors", NAMES: "likeness to the labels' names", HIDDEN: "hidden states"}
CLASSIFIER_VERSION = 2
"""Raised when a release makes another classifier of the same answers: a kept one of an earlier release is not taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Student:
    """A trained model in a folder, not registered yet.

    Attributes:
        method: How it was trained: "lora", "classifier" or "lora and classifier".
        base: The identity of what it was trained from.
        loss: In nats for each answer: of an adapter the last epoch's mean, of a classifier that in cross-validation.
        seconds: How long the training took.
        steps: Optimizer steps.
        tokens_per_second: Training tokens.
        truncated: Training answers whose prompt was longer than `TrainingConfig.max_tokens`.
        probe_accuracy: The held-out accuracy of the best probe; None without one.
        probe: What that one reads.
        processes: How many processes trained at the end.
        attempts: How often they were started.
        classifier: What its classifier reads, in words; empty without one.
        reads_states: Whether hidden states are among it.
        selection: Why it was trained by this method, in words; empty where the method was asked for.
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
    probe: str = ""
    processes: int = 1
    attempts: int = 1
    classifier: str = ""
    reads_states: bool = False
    selection: str = ""
    remove: Callable[[], None]
    kept_in: Path


def train_adapter(
    spark: SparkSession | None, inputs: FinetuneInputs, run: registry.Run, control: RunControl, folder: Path
) -> Student:
    """Trains a LoRA adapter of the base into the folder. Only in this process without a session. Raises what `finetune`
    does."""
    kept, outcome = kept_adapter(inputs.job(), trainer(spark, inputs.processes, control.end), run, control)
    kept.copy_files(folder)
    summary = outcome.summary
    return Student(
        method=LORA, base=inputs.base.identity, loss=summary.loss, seconds=summary.seconds, steps=summary.steps,
        tokens_per_second=summary.tokens / summary.seconds, truncated=outcome.truncated,
        probe_accuracy=outcome.probe_accuracy, probe=outcome.probe, processes=outcome.processes,
        attempts=outcome.attempts, remove=kept.remove, kept_in=kept.folder,
    )  # fmt: skip


def train_classifier(
    inputs: FinetuneInputs, run: registry.Run, control: RunControl, folder: Path, *, tune_encoder: bool
) -> Student:
    """Fits a classifier into the folder, and trains its encoder with it if asked to. Raises what `finetune` does."""
    task, encoder = inputs.call.task, inputs.encoder
    assert encoder is not None, "read with the inputs"
    answered = AnsweredRows.of(task, inputs.answers.train)
    base = None if tune_encoder else _base_to_read(inputs)
    title = (
        f"training an encoder for {task.name}" if tune_encoder else f"fitting a classifier for {task.name}"
    )
    with WorkProgress(title, len(answered.rows), control.progress, "reading rows") as bar:

        def on_step(step: int, steps: int, loss: float) -> None:
            control.end.check()
            bar.resize(steps)
            bar.advance(1, f"loss {loss:.3f}")
            run.log_metrics({"loss": loss}, step=step)

        def train(to: Path) -> dict[str, Any]:
            opened = open_encoder(encoder)
            if tune_encoder:
                fitted = tune(answered, opened, on_step, control.end.check)
                return _outcome(fitted, write_version(task, encoder, fitted.classifier, to, tuned=opened))
            try:
                return fit(to, opened, base)
            except _UNREADABLE as error:
                if base is None or inputs.call.hidden_states:
                    raise
                tell(f"the classifier does without the hidden states of {base.identity}: {first_line(error)}")
                return fit(to, opened, None)

        def fit(to: Path, opened: SentenceEncoder, base: ResolvedModel | None) -> dict[str, Any]:
            with ONE_MODEL:
                frozen = FrozenBase.open(task, base) if base else None
                bar.resize(len(answered.rows) * (2 if frozen else 1))
                states = frozen.states if frozen else None
                fitted = fit_heads(
                    answered, opened, control.end.check, states,
                    lambda count: bar.advance(count, "" if count else "fitting heads"),
                )  # fmt: skip
            return _outcome(fitted, write_version(task, encoder, fitted.classifier, to, frozen=frozen))

        content = [
            CLASSIFIER_VERSION, task.fingerprint, encoder.identity, base and base.identity, CLASSIFIER, tune_encoder,
            *answers_content(inputs.answers), inputs.own,
        ]  # fmt: skip
        kept = kept_training(content, train, control)
    kept.copy_files(folder)
    found = kept.outcome
    run.log_params({"classifier.weights": json.dumps(found["weights"]), "tune_encoder": tune_encoder})
    run.log_metrics(
        {"classifier.accuracy": found["accuracy"], "classifier.loss": found["loss"], "train_seconds": found["seconds"]}
    )  # fmt: skip
    return Student(
        method=CLASSIFIER, base=found["base"], loss=found["loss"], seconds=found["seconds"],
        classifier=_described(found, tune_encoder), reads_states=HIDDEN in found["weights"],
        remove=kept.remove, kept_in=kept.folder,
    )  # fmt: skip


_UNREADABLE = (ModelError, EngineError, TaskError, RuntimeError)
"""What a base raises that cannot be loaded or read. A device that is out of memory raises a RuntimeError."""


def _base_to_read(inputs: FinetuneInputs) -> ResolvedModel | None:
    """The base whose hidden states a classifier may read."""
    wanted, base = inputs.call.hidden_states, inputs.base
    return base if wanted or (wanted is None and is_quickly_read(base)) else None


def _outcome(fitted: FittedClassifier, base: ResolvedModel) -> dict[str, Any]:
    return asdict(fitted.fit) | {
        "seconds": fitted.seconds, "weights": dict(fitted.classifier.pool.weights), "base": base.identity,
    }  # fmt: skip


def _described(found: Mapping[str, Any], is_tuned: bool) -> str:
    right = f"{found['accuracy']:.1%} right in cross-validation"
    if is_tuned:
        return f"a classifier over sentence vectors, trained with their encoder ({right} before)"
    read = [_READ[source] for source in found["weights"]]
    both = " and ".join(filter(None, (", ".join(read[:-1]), read[-1])))
    return f"a classifier over {both}: {right}"
