"""What travels to the workers: a task, a pinned model, an engine.

In: what a user wrote. Out: a small picklable record, made on the driver, from which every worker builds the same
labeler. Nothing is loaded here; whether the model can be asked the task is checked by `prepare`.
"""

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any

from sparklabel import errors, registry
from sparklabel.arguments import is_number
from sparklabel.confidence.calibrators import Calibrator, FittedCalibrator
from sparklabel.engines import ENGINES, EngineOptions, EngineSpec, engine_spec
from sparklabel.few_shot import ExampleSet
from sparklabel.labeler.zero_shot import LM, MIXED, WEIGHTS
from sparklabel.models.manifest import ModelManifest
from sparklabel.models.references import ResolvedModel
from sparklabel.models.shipped_encoder import check_installed, is_installed, shipped_sha256
from sparklabel.progress import tell
from sparklabel.tasks import Task, check_task
from sparklabel.tasks.classification import Classification

AUTO = "auto"
"""A `fallback_below` that is found by people's answers."""
ENCODER_ENGINE = "encoder"
"""The engine of versions without a language model."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """What is asked where the answer of the model before it has less confidence than `below`, or none. `below` is None
    until it is found (`fallback_below="auto"`)."""

    spec: "LabelerSpec"
    below: float | None


@dataclass(frozen=True, slots=True)
class LabelerSpec:
    """Everything that a worker needs to build the labeler. Picklable; equal specs share one loaded model.

    `calibrator_run` is the MLflow run that fitted the calibrator; "" without one. `zero_shot` says how a classification
    is answered without fine-tuning: decided by the driver (`zero_shot_of`), so that all workers answer alike.
    """

    task: Task
    model: ResolvedModel
    engine: EngineSpec
    calibrator: Calibrator | None = None
    min_confidence: float = 0.0
    examples: ExampleSet | None = None
    calibrator_run: str = field(default="", compare=False)
    fallback: Fallback | None = None
    zero_shot: str = LM

    @property
    def manifest(self) -> ModelManifest | None:
        """The manifest of a model that was fine-tuned for a task; None for others."""
        found = ModelManifest.from_json(self.model.manifest) if self.model.manifest else None
        return found if found and found.task is not None else None

    @property
    def in_turn(self) -> "tuple[LabelerSpec, ...]":
        """This and the fallback: the specs of the models that are asked in turn."""
        return (self,) if self.fallback is None else (self, self.fallback.spec)

    @property
    def models(self) -> dict[str, float]:
        """The identities of the models that are asked in turn, each with the confidence from which its answer
        stands; 1 while that is to be found. What would be withheld is asked of the next one first."""
        if self.fallback is None:
            return {self.model.identity: 0.0}
        below = 1.0 if self.fallback.below is None else self.fallback.below
        return {self.model.identity: max(below, self.min_confidence), self.fallback.spec.model.identity: 0.0}

    @property
    def name(self) -> str:
        """What commits and reports call the model, or both."""
        return ", else ".join(spec.model.identity for spec in self.in_turn)

    @property
    def decision(self) -> str:
        """A hash (16 hex digits) of what else determines an answer besides task and model: the calibrator, the
        threshold, the examples, the mixture, the fallback. Empty if there is none of them."""
        is_mixed = self.zero_shot == MIXED
        if not (self.calibrator or self.min_confidence or self.examples or self.fallback or is_mixed):
            return ""
        content: list[Any] = [self.min_confidence, self.calibrator.to_dict() if self.calibrator else None]
        content += [self.examples.sha256] if self.examples else []
        if is_mixed:
            content.append({"zero_shot": WEIGHTS, "encoder": shipped_sha256()})
        if self.fallback:
            content.append({"fallback": [*self.models.items(), self.fallback.spec.decision]})
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    def isolated(self) -> "LabelerSpec":
        """The same spec with engines in processes of their own, where they can be moved (`EngineSpec.isolated`)."""
        fallback = self.fallback and replace(self.fallback, spec=self.fallback.spec.isolated())
        return replace(self, engine=self.engine.isolated(), fallback=fallback)

    def withholding(self, min_confidence: float) -> "LabelerSpec":
        """The same spec with another threshold. Raises SetupError for one that is not in [0, 1]."""
        if not (is_number(min_confidence) and 0 <= min_confidence <= 1):
            raise errors.SetupError(f"min_confidence={min_confidence!r} is not between 0 and 1.")
        return replace(self, min_confidence=float(min_confidence))

    def calibrated(self, found: FittedCalibrator | None) -> "LabelerSpec":
        """The same spec with a calibrator, or without one."""
        if found is None:
            return replace(self, calibrator=None, calibrator_run="")
        return replace(self, calibrator=found.calibrator, calibrator_run=found.run_id)

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the task as the model is asked it: a fine-tuned model's is in its manifest."""
        return manifest.task_fingerprint if (manifest := self.manifest) else self.task.fingerprint


def engine_of(model: ResolvedModel, chosen: EngineSpec) -> EngineSpec:
    """The engine of a model: the one that was chosen, for a language model; versions without one have an encoder, with
    those of the options that it takes. Raises SetupError if an encoder was chosen for a language model, or an engine
    that does not give what a version reads."""
    manifest = ModelManifest.from_json(model.manifest) if model.manifest else None
    without = manifest is not None and not manifest.needs_language_model
    if manifest and manifest.reads_states and not chosen.kind.is_readable:
        raise errors.SetupError(
            f"{model.identity} reads hidden states, which the {chosen.name} engine does not give.",
            hint="Leave engine= out, or give engine='transformers'.",
        )
    if without and chosen.name != ENCODER_ENGINE:
        known = ENGINES[ENCODER_ENGINE].options
        return EngineSpec(ENCODER_ENGINE, tuple(one for one in chosen.options if one[0] in known))
    if chosen.name == ENCODER_ENGINE and not without:
        raise errors.SetupError(
            f"The encoder engine answers with classifiers, and {model.identity} is a language model.",
            hint="Leave engine= out.",
        )
    return chosen


def zero_shot_of(task: Task, model: ResolvedModel) -> str:
    """How this model answers the task: "mixed" or "lm" (see the classification's `zero_shot`). Raises SetupError if it
    is to be mixed and the encoder is not installed."""
    if not isinstance(task, Classification) or model.manifest:
        return LM
    if task.zero_shot == MIXED:
        check_installed()
    if task.zero_shot:
        return task.zero_shot
    is_plain = not (task.candidates or task.examples or task.examples_from)
    return MIXED if model.source == "embedded" and is_plain and is_installed() else LM


def labeler_spec(
    task: Task,
    model: str | ResolvedModel,
    engine: str | EngineOptions,
    options: dict[str, Any],
    min_confidence: float = 0.0,
    experiment: str = registry.DEFAULT_EXPERIMENT,
) -> LabelerSpec:
    """Pins the model and checks that it fits the task, before anything is loaded.

    Args:
        task: What is asked of each row.
        model: A reference, or a model that is pinned already. For an engine whose models have no files, any text.
        engine: The engine's name, or "auto".
        options: The engine's options, by name.
        min_confidence: In [0, 1]: answers with less confidence are withheld.
        experiment: The MLflow experiment that has the calibrators of models that are not registered.

    Returns:
        The spec, with the newest calibrator of this model and task, and without examples (`prepare` adds them).

    Raises:
        TaskError: `task` is not a task.
        ModelError: The model does not resolve, or was fine-tuned for another task.
        SetupError: The engine or an option does not exist, `experiment` is no name, or the MLflow store fails.
    """
    check_task(task)
    registry.check_experiment(experiment)
    chosen = engine_spec(engine, options)
    named = chosen.kind.named
    if named and isinstance(model, str) and model.strip():
        resolved = ResolvedModel(model, "named", named.identity(model, dict(chosen.options)), "")
    else:
        resolved = model if isinstance(model, ResolvedModel) else registry.resolve(model)
    spec = LabelerSpec(task, resolved, engine_of(resolved, chosen), zero_shot=zero_shot_of(task, resolved))
    spec = spec.withholding(min_confidence)
    if manifest := spec.manifest:
        manifest.check_fits(task, resolved.identity)
    try:
        return spec.calibrated(registry.find_calibrator(resolved.identity, spec.fingerprint, experiment))
    except errors.SetupError as error:
        if resolved.source == "artifact":
            raise
        tell(f"MLflow could not be asked for a calibrator, so only a table's own is used: {error.message}")
        return spec


def with_fallback(
    spec: LabelerSpec,
    fallback: str | None,
    below: float | str | None,
    own_engine: str | EngineOptions | None,
    engine: str | EngineOptions,
    options: dict[str, Any],
    experiment: str = registry.DEFAULT_EXPERIMENT,
) -> LabelerSpec:
    """The spec of a cascade: what the model is less sure of than `below`, the fallback is asked.

    Args:
        spec: Of the model that is asked first.
        fallback: A reference; None for no fallback.
        below: A confidence above 0 and at most 1, or "auto" where the caller finds it; None is an error.
        own_engine: The fallback's engine; None for that of the first one.
        engine: The first one's.
        options: Its options.
        experiment: As for `labeler_spec`.

    Raises:
        ModelError: The fallback does not resolve, or was fine-tuned for another task.
        SetupError: `below` is no confidence, the fallback is the model itself, or what `labeler_spec` refuses.
    """
    if fallback is None:
        if own_engine is not None or below not in (None, AUTO):
            raise errors.SetupError(
                "fallback_below= and fallback_engine= are about a fallback, and none is given.",
                hint="Name the model that is asked next: fallback=...",
            )
        return spec
    least = float(below) if is_number(below) else None
    if below != AUTO and not (least is not None and 0 < least <= 1):
        raise errors.SetupError(
            f"fallback_below={below!r} is not a confidence above 0 and at most 1.",
            hint="Answers with less are asked of the fallback: fallback_below=0.8. label_table also takes 'auto'.",
        )
    given = (engine, options) if own_engine is None else (own_engine, {})
    second = labeler_spec(spec.task, fallback, *given, experiment=experiment)
    if second.model.identity == spec.model.identity:
        raise errors.SetupError(
            f"fallback={fallback!r} is the model that is asked first, {spec.model.identity}.",
            hint="Name another one, or leave it out.",
        )
    return replace(spec, fallback=Fallback(second, least))


def check_threshold(spec: LabelerSpec) -> None:
    """Raises SetupError if the threshold of a fallback is yet to be found, by what has no answers of people."""
    if spec.fallback and spec.fallback.below is None:
        raise errors.SetupError(
            "fallback_below='auto' is found by people's answers in a table: a function or a stream reads none.",
            hint="Give a number: label_table(..., fallback_below='auto') finds it and says it.",
        )
