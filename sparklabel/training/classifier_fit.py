"""Fits a classifier to human answers: heads over sentence vectors, whose encoder may be trained with them, and over the
hidden states of a language model.

In: a task, an encoder, human answers. Out: a version's files in a folder, and how well the classifier does on training
answers that its heads have not seen. The held-out answers are not looked at.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from sparklabel import registry
from sparklabel.classifiers.classifier import (
    HIDDEN,
    NAMES,
    SENTENCE,
    Classifier,
    Fit,
    fit_classifier,
    group_targets,
)
from sparklabel.classifiers.features import TextReader, compares, row_parts, sentence_features
from sparklabel.classifiers.heads import Features, Floats, Head, Targets, cross_fitted
from sparklabel.classifiers.pooling import Pool
from sparklabel.classifiers.storage import save_heads
from sparklabel.errors import AnswersError
from sparklabel.few_shot import Encoder
from sparklabel.language_model import LinearHead, SentenceEncoder, train_encoder
from sparklabel.models import references
from sparklabel.models.encoders import resolve_encoder
from sparklabel.models.manifest import ClassifierManifest, ModelManifest
from sparklabel.models.references import ResolvedModel
from sparklabel.models.shipped_encoder import ENCODER
from sparklabel.probe.hidden_states import HiddenStates
from sparklabel.splits import fold, input_key
from sparklabel.table.human_answers import HumanAnswer
from sparklabel.tasks import Task
from sparklabel.training.checks import check_scored
from sparklabel.training.frozen_base import FrozenBase

_FOLDS = 5
_ROWS_AT_ONCE = 256
_STRONGEST = 10.0
"""Of a head that trains on with its encoder: one that is sure of all its rows leaves nothing to learn."""


@dataclass(frozen=True, slots=True)
class FittedClassifier:
    """A classifier; how well it does on answers that its heads have not seen (before its encoder was trained, if it
    was); and the seconds that all of it took."""

    classifier: Classifier
    fit: Fit
    seconds: float


@dataclass(frozen=True, slots=True)
class AnsweredRows:
    """Answers as a classifier learns them: texts [N][S], targets [N, G] in groups of these sizes, folds [N]."""

    task: Task
    rows: Sequence[Sequence[str]]
    targets: Targets
    groups: tuple[int, ...]
    folds: NDArray[np.int64]

    @classmethod
    def of(cls, task: Task, answers: Sequence[HumanAnswer]) -> "AnsweredRows":
        """Raises TaskError if the task's answers are written, and AnswersError if there is nothing to cross-validate
        with: all answers are to one input, or nearly so."""
        targets, groups = answer_targets(task, answers)
        folds = np.array([fold(answer.inputs, _FOLDS) for answer in answers])
        if len(np.unique(folds)) < 2:
            distinct = len({input_key(answer.inputs) for answer in answers})
            raise AnswersError(
                f"{len(answers)} answers to {task.name!r}, of {distinct} distinct inputs, are too few to cross-validate"
                " a classifier.",
                hint="Answer rows with other texts.",
            )
        return cls(task, row_texts(answers), targets, groups, folds)


def answer_targets(task: Task, answers: Sequence[HumanAnswer]) -> tuple[Targets, tuple[int, ...]]:
    """The right choice of each answer in each of G groups [N, G], and the sizes of the groups. Raises TaskError if the
    task's answers are written."""
    mode = check_scored(task)
    groups = mode.groups or (len(mode.choices),)
    return group_targets([mode.chosen(answer.answer) for answer in answers], groups), groups


def row_texts(answers: Sequence[HumanAnswer]) -> list[list[str]]:
    """The inputs of each answer; one that is NULL is empty."""
    return [[text or "" for text in answer.inputs] for answer in answers]


def fit_heads(
    answered: AnsweredRows,
    encoder: Encoder,
    check: Callable[[], None] = lambda: None,
    states: HiddenStates | None = None,
    on_rows: Callable[[int], None] = lambda count: None,
) -> FittedClassifier:
    """Fits heads, and weighs what they read by cross-validation.

    Args:
        answered: What they learn.
        encoder: Of sentence vectors.
        check: Called again and again; what it raises ends the work.
        states: What reads a language model's hidden states, if a head is to read these, too.
        on_rows: Called with how many more rows a source has been read of, and with 0 when all are read.
    """
    started, reader = time.monotonic(), TextReader(answered.task, encoder)
    read: dict[str, list[Features | Floats]] = {}
    for rows in _blocks(answered.rows):
        check()
        for source, found in reader.read(rows, reader.sources).items():
            read.setdefault(source, []).append(found)
        on_rows(len(rows))
    if states:
        for rows in _blocks(answered.rows):
            check()
            read.setdefault(HIDDEN, []).append(states(rows))
            on_rows(len(rows))
    on_rows(0)
    whole: dict[str, Features | Floats] = {}
    for source, parts in read.items():
        whole[source] = cast("Features | Floats", np.concatenate(parts))
    classifier, fit = fit_classifier(whole, answered.targets, answered.groups, answered.folds, check)
    return FittedClassifier(classifier, fit, time.monotonic() - started)


def _blocks(rows: Sequence[Sequence[str]]) -> list[Sequence[Sequence[str]]]:
    return [rows[first : first + _ROWS_AT_ONCE] for first in range(0, len(rows), _ROWS_AT_ONCE)]


def sentence_probe(task: Task, train: Sequence[HumanAnswer], test: Sequence[HumanAnswer]) -> float:
    """The accuracy, in [0, 1], of a classifier over the shipped encoder's sentence vectors, where a row counts if all
    of its groups are right. Raises SetupError if the encoder is not installed, and AnswersError for too few answers."""
    encoder = open_encoder(resolve_encoder(ENCODER))
    classifier = fit_heads(AnsweredRows.of(task, train), encoder).classifier
    read = TextReader(task, encoder).read(row_texts(test), classifier.sources)
    return Fit.of(classifier.log_probabilities(read), *answer_targets(task, test)).accuracy


def tune(
    answered: AnsweredRows,
    encoder: SentenceEncoder,
    on_step: Callable[[int, int, float], None],
    check: Callable[[], None] = lambda: None,
) -> FittedClassifier:
    """Trains the encoder, in place, together with one head, which begins as the one that is fitted to its vectors.
    `on_step` as in `train_encoder`, `check` as in `fit_heads`."""
    started, task = time.monotonic(), answered.task
    features = sentence_features(task, answered.rows, encoder)
    targets, groups = answered.targets, answered.groups
    strength, unseen = cross_fitted(features, targets, groups, answered.folds, on_fit=check)
    head = Head.fit(features, targets, groups, min(strength, _STRONGEST))
    given = LinearHead(head.scaling.mean, head.scaling.scale, head.weights, head.bias)
    trained = train_encoder(
        encoder, row_parts(task, answered.rows), given, targets, groups, compares=compares(task), on_step=on_step
    )  # fmt: skip
    heads = {SENTENCE: Head(head.scaling, trained.weights, trained.bias, groups)}
    fit = Fit.of(unseen, targets, groups)
    return FittedClassifier(Classifier(heads, Pool({SENTENCE: 1.0}, groups)), fit, time.monotonic() - started)


def open_encoder(encoder: ResolvedModel) -> SentenceEncoder:
    """The encoder, loaded. Raises ModelError."""
    return SentenceEncoder.load(references.fetch(encoder), encoder.identity)


def write_version(
    task: Task,
    encoder: ResolvedModel,
    classifier: Classifier,
    folder: Path,
    *,
    tuned: SentenceEncoder | None = None,
    frozen: FrozenBase | None = None,
) -> ResolvedModel:
    """Writes the files of a version without an adapter; those of its encoder, too, if that was trained. `frozen`: the
    language model that the classifier may read. Returns the version's base: that model if it is read, or the encoder.
    """
    heads = folder / registry.CLASSIFIER
    heads.mkdir()
    save_heads(classifier.heads, heads)
    if tuned:
        (folder / registry.ENCODER_FOLDER).mkdir()
        tuned.save(folder / registry.ENCODER_FOLDER)
    sources = classifier.sources
    needs_encoder = SENTENCE in sources or NAMES in sources
    reads = ClassifierManifest(
        dict(classifier.pool.weights),
        registry.base_record(encoder) if needs_encoder else None,
        tuned is not None,
    )
    read = frozen if HIDDEN in sources else None
    assert read or HIDDEN not in sources, "what the classifier was fitted to"
    base = read.base if read else encoder
    manifest = ModelManifest(
        task=task.to_dict(), task_fingerprint=task.fingerprint, template=read.prepared.template if read else None,
        labels=task.answer_mode.signature, label_ids=read.prepared.label_ids if read else (),
        base=registry.base_record(base), classifier=reads,
    )  # fmt: skip
    (folder / registry.MANIFEST).write_text(manifest.to_json(), "utf-8")
    return base
