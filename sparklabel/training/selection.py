"""Which students a fine-tuning trains. Under `method="auto"` they are compared on a fifth of the training answers.

In: what was read for a fine-tuning. Out: the `Student` that goes to the gate, trained on all training answers. The
held-out answers are not looked at.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from pyspark.sql import SparkSession

from sparklabel import registry
from sparklabel.classifiers.classifier import COSTS, HIDDEN, SCORES, SENTENCE, Fit
from sparklabel.classifiers.heads import Floats, Targets, mean_loss
from sparklabel.classifiers.pooling import Pool, is_better
from sparklabel.models.manifest import ModelManifest
from sparklabel.splits import VALIDATION_SHARE
from sparklabel.table.human_answers import HumanAnswer
from sparklabel.tasks import Scored, Task
from sparklabel.training.baseline import judged_spec
from sparklabel.training.call import CLASSIFIER, LORA
from sparklabel.training.classifier_fit import answer_targets, row_texts
from sparklabel.training.control import ONE_MODEL, RunControl
from sparklabel.training.inputs import FinetuneInputs
from sparklabel.training.students import Student, train_adapter, train_classifier
from sparklabel.udf import load_engine, make_labeler

MIN_VALIDATION = 30
"""Answers that choose. An accuracy's standard error is 9 points at most then: with fewer the choice would be luck."""
WITH_ENCODER = "classifier with its encoder"


def train_student(
    spark: SparkSession | None, inputs: FinetuneInputs, run: registry.Run, control: RunControl, folder: Path
) -> Student:
    """Trains by the call's method; the version's files are in the folder then. Raises what `finetune` does."""
    method, mode = inputs.call.method, inputs.call.task.answer_mode
    if method == LORA:
        return train_adapter(spark, inputs, run, control, folder)
    if method == CLASSIFIER:
        return train_classifier(inputs, run, control, folder, tune_encoder=inputs.call.tune_encoder)
    if not isinstance(mode, Scored):
        student = train_adapter(spark, inputs, run, control, folder)
        return replace(student, selection="LoRA, since answers to this kind of task are written")
    search = inputs.for_search(inputs.own)
    if len(search.answers.held_out) < MIN_VALIDATION:
        student = train_classifier(inputs, run, control, folder, tune_encoder=False)
        return replace(student, selection=_too_few(len(search.answers.held_out)))
    trials = _Trials(spark, search, run, control)
    selection = trials.selection()
    run.log_params(
        {"selection": json.dumps(selection.weights), "selection.tune_encoder": selection.tune_encoder}
    )
    student = _trained(spark, inputs, run, control, folder, selection)
    return replace(student, selection=str(selection), remove=_all_of(student.remove, *trials.removals))


@dataclass(frozen=True, slots=True)
class Selection:
    """What was chosen. `weights`: of the pool of CLASSIFIER and LORA, one of them or both. `tune_encoder`: the
    classifier's encoder is trained with it. `fits`: how each did on `n` validation answers, by name."""

    weights: Mapping[str, float]
    tune_encoder: bool
    fits: Mapping[str, Fit]
    n: int

    @classmethod
    def of(
        cls,
        found: Mapping[str, Floats],
        targets: Targets,
        groups: Sequence[int],
        *,
        reads_states: bool = False,
    ) -> "Selection":
        """From the log-probabilities [N, L] of CLASSIFIER, WITH_ENCODER and LORA for answers that none learned from:
        one of the classifiers, LoRA, or both; what costs more only where it is better (`is_better`).

        A classifier is judged with LoRA, not alone: one that reads hidden states knows more than one with an encoder of
        its own, but little that LoRA does not know (on sst2 88.5% and 86.8% alone, 89.6% and 90.7% with it).

        Args:
            found: By name.
            targets: [N, G].
            groups: The sizes of the groups of choices.
            reads_states: CLASSIFIER reads hidden states, and so costs many times what WITH_ENCODER does.
        """
        fits = {name: Fit.of(log_p, targets, groups) for name, log_p in found.items()}
        costs = {CLASSIFIER: COSTS[HIDDEN if reads_states else SENTENCE], WITH_ENCODER: COSTS[SENTENCE]}
        options = [_Option.of(name, cost, found, targets, groups) for name, cost in costs.items()]
        best, other = sorted(options, key=lambda option: mean_loss(option.log_p, targets, groups))
        if other.cost < best.cost and not is_better(best.log_p, other.log_p, targets, groups):
            best = other
        if len(best.pool.weights) > 1:
            fits["both"] = Fit.of(best.log_p, targets, groups)
        return cls(best.pool.weights, best.classifier == WITH_ENCODER, fits, len(targets))

    def __str__(self) -> str:
        shown = ", ".join(f"{name} {fit.accuracy:.1%}" for name, fit in self.fits.items())
        names = [WITH_ENCODER if self.tune_encoder and name == CLASSIFIER else name for name in self.weights]
        return f"on {self.n:,} validation answers {shown}: {' and '.join(names)} chosen"


@dataclass(frozen=True, slots=True)
class _Option:
    """One of the classifiers, LoRA, or both. `log_p` [N, L]: what they give the choices; `cost`: of a row, served."""

    classifier: str
    pool: Pool
    log_p: Floats
    cost: float

    @classmethod
    def of(
        cls,
        classifier: str,
        cost: float,
        found: Mapping[str, Floats],
        targets: Targets,
        groups: Sequence[int],
    ) -> "_Option":
        """The best that a classifier by this name, with this cost of a row, and LoRA are worth."""
        sources = {CLASSIFIER: found[classifier], LORA: found[LORA]}
        costs = {CLASSIFIER: cost, LORA: COSTS[SCORES]}
        pool = Pool.chosen(sources, targets, groups, costs)
        return cls(classifier, pool, pool(sources), sum(costs[name] for name in pool.weights))


class _Trials:
    """Each method trained on four fifths of the training answers, and asked for the rest."""

    def __init__(
        self, spark: SparkSession | None, search: FinetuneInputs, run: registry.Run, control: RunControl
    ) -> None:
        self._spark, self._run, self._control = spark, run, control
        self._validation = search.answers.held_out
        # Held-out answers would have a probe fitted, which nobody asked for here.
        self._search = replace(search, answers=replace(search.answers, held_out=()))
        self._reads_states = False
        self.removals: list[Callable[[], None]] = []
        """What removes the students that were kept for another attempt."""

    def selection(self) -> Selection:
        found = {name: self._log_probabilities(name) for name in (CLASSIFIER, WITH_ENCODER, LORA)}
        targets, groups = answer_targets(self._search.call.task, self._validation)
        return Selection.of(found, targets, groups, reads_states=self._reads_states)

    def _log_probabilities(self, name: str) -> Floats:
        """[N, L]: what a student by that method gives the choices of each validation answer."""
        call = self._search.call
        title = f"{name} on {1 - VALIDATION_SHARE:.0%}"
        with _child_run(title, call.experiment, self._run) as run, tempfile.TemporaryDirectory() as tmp:
            folder = Path(tmp)
            if name == LORA:
                student = train_adapter(self._spark, self._search, run, self._control, folder)
            else:
                student = train_classifier(
                    self._search, run, self._control, folder, tune_encoder=name == WITH_ENCODER
                )
            self.removals.append(student.remove)
            self._reads_states |= student.reads_states
            return _asked(call.task, folder, self._validation)


def _child_run(name: str, experiment: str, parent: registry.Run) -> AbstractContextManager[registry.Run]:
    return registry.start_run(name, experiment=experiment, tags={"mlflow.parentRunId": parent.id})


def _asked(task: Task, folder: Path, answers: tuple[HumanAnswer, ...]) -> Floats:
    """[N, L]: the log-probabilities that the version in the folder gives the choices for each answer's inputs."""
    with registry.unregistered_version(folder) as model, ONE_MODEL:
        spec = judged_spec(task, model)
        return make_labeler(spec, load_engine(spec.engine, spec.model)).log_probabilities(row_texts(answers))


def _trained(
    spark: SparkSession | None,
    inputs: FinetuneInputs,
    run: registry.Run,
    control: RunControl,
    folder: Path,
    selection: Selection,
) -> Student:
    """What was chosen, trained on all training answers."""
    if LORA not in selection.weights:
        return train_classifier(inputs, run, control, folder, tune_encoder=selection.tune_encoder)
    adapter = train_adapter(spark, inputs, run, control, folder)
    if CLASSIFIER not in selection.weights:
        return adapter
    with (
        _child_run(CLASSIFIER, inputs.call.experiment, run) as own,  # each has a loss
        tempfile.TemporaryDirectory() as tmp,
    ):
        classifier = train_classifier(inputs, own, control, Path(tmp), tune_encoder=selection.tune_encoder)
        _add_classifier(folder, Path(tmp), selection.weights)
    return replace(
        adapter, method=f"{LORA} and {CLASSIFIER}", classifier=classifier.classifier,
        seconds=adapter.seconds + classifier.seconds, remove=_all_of(adapter.remove, classifier.remove),
    )  # fmt: skip


def _add_classifier(folder: Path, classifier: Path, weights: Mapping[str, float]) -> None:
    """Puts a classifier's files beside an adapter's. A pool of pools is one: its weights are products."""
    adapters, own = (
        ModelManifest.from_json((of / registry.MANIFEST).read_text("utf-8")) for of in (folder, classifier)
    )
    assert own.classifier is not None
    for name in (registry.CLASSIFIER, registry.ENCODER_FOLDER):
        if (classifier / name).is_dir():
            shutil.move(classifier / name, folder / name)
    read = {source: weight * weights[CLASSIFIER] for source, weight in own.classifier.weights.items()}
    pooled = replace(own.classifier, weights=read | {SCORES: weights[LORA]})
    (folder / registry.MANIFEST).write_text(replace(adapters, classifier=pooled).to_json(), "utf-8")


def _all_of(*removals: Callable[[], None]) -> Callable[[], None]:
    def remove() -> None:
        for one in removals:
            one()

    return remove


def _too_few(n: int) -> str:
    return (
        f"a classifier, since {n} answers are too few to choose a method by (at least {MIN_VALIDATION} are needed, a "
        f"fifth of those that train)"
    )
