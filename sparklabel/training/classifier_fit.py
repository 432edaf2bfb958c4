"""Fits a classifier to human answers: heads over a frozen sentence encoder, without training it.

In: a task, an encoder, human answers. Out: a version's files in a folder, and how well the classifier does on training
answers that its heads have not seen. The held-out answers are not looked at.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparklabel import registry
from sparklabel.classifiers.classifier import Classifier, Fit, fit_classifier, group_targets
from sparklabel.classifiers.features import TextReader
from sparklabel.classifiers.storage import save_heads
from sparklabel.errors import AnswersError, TaskError
from sparklabel.few_shot import Encoder
from sparklabel.language_model import SentenceEncoder
from sparklabel.models import references
from sparklabel.models.manifest import ClassifierCard, ModelManifest
from sparklabel.models.references import ResolvedModel
from sparklabel.splits import fold
from sparklabel.table.human_answers import HumanAnswer
from sparklabel.tasks import Scored, Task

_FOLDS = 5


@dataclass(frozen=True, slots=True)
class FittedClassifier:
    """A classifier; how well it does on answers that its heads have not seen; and the seconds that the fit took."""

    classifier: Classifier
    fit: Fit
    seconds: float

    @property
    def sentence(self) -> str:
        """What it reads, with the weights, as a report says it."""
        weights = ", ".join(
            f"{source} {weight:.2f}" for source, weight in self.classifier.pool.weights.items()
        )
        return f"a classifier over {weights}: {self.fit.accuracy:.1%} right in cross-validation"


def check_scored(task: Task) -> Scored:
    """The task's mode. Raises TaskError for a kind whose answers are written."""
    if not isinstance(mode := task.answer_mode, Scored):
        raise TaskError(
            f"A classifier chooses, and answers to a task of kind {task.kind!r} are written.",
            hint="method='lora' fine-tunes for every kind; classifiers are for classification, multilabel, matching "
            "and rating.",
        )
    return mode


def fit_to_answers(task: Task, encoder: Encoder, answers: Sequence[HumanAnswer]) -> FittedClassifier:
    """Fits heads, and weighs what they read by cross-validation.

    Raises:
        TaskError: The task's answers are written.
        AnswersError: There is nothing to cross-validate with: all answers are to one input, or nearly so.
    """
    started, mode = time.monotonic(), check_scored(task)
    groups = mode.groups or (len(mode.choices),)
    folds = np.array([fold(answer.inputs, _FOLDS) for answer in answers])
    if len(np.unique(folds)) < 2:
        raise AnswersError(
            f"{len(answers)} answers to {task.name!r} are too few to cross-validate a classifier.",
            hint="Answer more rows.",
        )
    reader = TextReader(task, encoder)
    read = reader.read([[text or "" for text in answer.inputs] for answer in answers], reader.sources)
    targets = group_targets([mode.chosen(answer.answer) for answer in answers], groups)
    classifier, fit = fit_classifier(read, targets, groups, folds)
    return FittedClassifier(classifier, fit, time.monotonic() - started)


def open_encoder(encoder: ResolvedModel) -> SentenceEncoder:
    """The encoder, loaded. Raises ModelError."""
    return SentenceEncoder.load(references.fetch(encoder), encoder.identity)


def write_version(task: Task, encoder: ResolvedModel, classifier: Classifier, folder: Path) -> None:
    """Writes the files of a version without a language model."""
    heads = folder / registry.CLASSIFIER
    heads.mkdir()
    save_heads(classifier.heads, heads)
    record = registry.base_record(encoder)
    manifest = ModelManifest(
        task=task.to_dict(), task_fingerprint=task.fingerprint, template=None, labels=task.answer_mode.signature,
        label_ids=(), base=record, classifier=ClassifierCard(dict(classifier.pool.weights), record),
    )  # fmt: skip
    text = json.dumps(manifest.to_dict(), ensure_ascii=False, indent=2)
    (folder / registry.MANIFEST).write_text(text, "utf-8")
