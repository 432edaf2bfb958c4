"""What travels to the workers: a task, a pinned model, an engine. Made and checked on the driver.

In: what a user wrote. Out: a small picklable record, from which every worker builds the same labeler. Nothing is loaded
but a tokenizer.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql import SparkSession

from sparklabel import errors, registry
from sparklabel.confidence.calibrators import Calibrator
from sparklabel.engines import EngineOptions, EngineSpec, engine_spec
from sparklabel.few_shot import ExampleSet
from sparklabel.labeler import PreparedTask
from sparklabel.models.manifest import AdapterManifest
from sparklabel.models.references import ResolvedModel, tokenizer_folder
from sparklabel.models.shipped_encoder import check_installed
from sparklabel.prompts import Tokenizer, candidate_labels
from sparklabel.table.examples import pinned_examples
from sparklabel.tasks import Task, check_task


@dataclass(frozen=True, slots=True)
class LabelerSpec:
    """Everything a worker needs to build the labeler. Picklable; equal specs share one loaded model."""

    task: Task
    model: ResolvedModel
    engine: EngineSpec
    calibrator: Calibrator | None = None
    min_confidence: float = 0.0
    examples: ExampleSet | None = None

    @property
    def manifest(self) -> AdapterManifest | None:
        """What a fine-tuned model carries; None for others."""
        return AdapterManifest.from_json(self.model.manifest) if self.model.manifest else None

    @property
    def decision(self) -> str:
        """What else than task and model makes an answer what it is, as a short hash: the calibrator, what is withheld,
        the examples that were shown. Empty where there is nothing of the kind."""
        if self.calibrator is None and not self.min_confidence and not self.examples:
            return ""
        content: list[Any] = [self.min_confidence, self.calibrator.to_dict() if self.calibrator else None]
        content += [self.examples.sha256] if self.examples else []
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    def withholding(self, min_confidence: float) -> "LabelerSpec":
        """The same with another threshold. Raises SetupError."""
        if not (isinstance(min_confidence, int | float) and 0 <= min_confidence <= 1):
            raise errors.SetupError(f"min_confidence={min_confidence!r} is not between 0 and 1.")
        return replace(self, min_confidence=float(min_confidence))

    @property
    def fingerprint(self) -> str:
        """That of the task as the model is asked it: a fine-tuned one goes by its card's prompt."""
        return manifest.task_fingerprint if (manifest := self.manifest) else self.task.fingerprint


def labeler_spec(
    task: Task,
    model: str | ResolvedModel,
    engine: str | EngineOptions,
    options: dict[str, Any],
    min_confidence: float = 0.0,
) -> LabelerSpec:
    """Pins the model and checks that it fits the task, before anything is loaded; with the calibrator that was fitted
    for them last.

    Raises ModelError, SetupError or TaskError. Engines without files take any text for a model.
    """
    check_task(task)
    chosen = engine_spec(engine, options)
    named = chosen.kind.named
    if named and isinstance(model, str) and model.strip():
        resolved = ResolvedModel(model, "folder", named.identity(model, dict(chosen.options)), "")
    else:
        resolved = model if isinstance(model, ResolvedModel) else registry.resolve(model)
    spec = LabelerSpec(task, resolved, chosen).withholding(min_confidence)
    if manifest := spec.manifest:
        manifest.check_fits(task, resolved.identity)
    return replace(spec, calibrator=registry.find_calibrator(resolved.identity, spec.fingerprint))


def with_examples(spec: LabelerSpec, spark: SparkSession | None = None) -> LabelerSpec:
    """The same with the examples that its task takes from a table, pinned now; `spark` is the active session unless it
    is given. A fine-tuned model reads none. Raises TableError, ColumnError or SetupError."""
    if spec.manifest:
        return spec
    if candidate_labels(spec.task):
        check_installed()
    return replace(spec, examples=pinned_examples(spark, spec.task))


def check_askable(spec: LabelerSpec) -> PreparedTask:
    """What the model is asked. Raises TaskError or ModelError where the task cannot be asked of it: its instructions do
    not fit, its labels are the same tokens, its card is another tokenizer's, its engine cannot ask such choices. Reads
    the tokenizer, no weights."""
    prepared = PreparedTask.of(spec.task, _tokenizer(spec), spec.manifest, spec.model.identity, spec.examples)
    if prepared.label_trie:
        spec.engine.kind.check(prepared.label_trie)
    return prepared


def _tokenizer(spec: LabelerSpec) -> Tokenizer:
    if named := spec.engine.kind.named:
        return named.tokenizer(dict(spec.engine.options))
    from sparklabel.language_model import ModelTokenizer

    return ModelTokenizer.load(tokenizer_folder(spec.model))
