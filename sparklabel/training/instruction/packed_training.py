"""Trains a model on what a mixture was packed into: the files of a version that labels any task.

In: packs, a base. Out: a folder that is kept until its version is registered. Nothing is registered or judged here.
"""

from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from sparklabel import registry
from sparklabel.language_model import LanguageModel, StepMetrics, TrainingConfig, TrainingSummary
from sparklabel.language_model.training.config import ALL
from sparklabel.models.manifest import ModelManifest
from sparklabel.models.references import ResolvedModel
from sparklabel.progress import WorkProgress
from sparklabel.training.attempts import trainer
from sparklabel.training.control import RunControl
from sparklabel.training.finished_training import KeptTraining, kept_training
from sparklabel.training.instruction.preparation import Preparation
from sparklabel.training.processes import Processes
from sparklabel.training.records import Training
from sparklabel.udf import vacate_gpu


def trained_version(
    spark: SparkSession,
    base: ResolvedModel,
    record: dict[str, str],
    packed: Preparation,
    config: TrainingConfig,
    processes: Processes,
    run: registry.Run,
    control: RunControl,
) -> KeptTraining:
    """The files of a version, and what the training did: now, or in an earlier call that did not register it."""
    is_whole = config.parameters == ALL

    def load() -> LanguageModel:
        vacate_gpu()
        return LanguageModel.load(registry.fetch(base).base)

    def train(folder: Path) -> dict[str, Any]:
        training = Training(
            base=base, examples=(), config=config, choices=None, load=cache(load), packs=packed.folder
        )
        with WorkProgress("instruction tuning", 1, control.progress, "loading the base") as bar:

            def on_step(step: StepMetrics) -> None:
                control.step = step
                bar.resize(step.steps)
                bar.advance(1, f"loss {step.loss:.3f}")
                run.log_metrics({"loss": step.loss, "learning_rate": step.learning_rate}, step=step.step)

            to = folder / (registry.WHOLE if is_whole else registry.ADAPTER)
            trained = trainer(spark, processes, control.end)(training, to, on_step)
        manifest = ModelManifest.for_any_task(dict(record), is_whole=is_whole)
        (folder / registry.MANIFEST).write_text(manifest.to_json(), "utf-8")
        return {
            "summary": asdict(trained.summary), "attempts": trained.attempts, "processes": trained.processes,
            "kept_in": str(trained.kept_in or ""),
        }  # fmt: skip

    content = ["instruction", packed.folder.manifest.digest, base.identity, record, asdict(config)]
    kept = kept_training(content, train, control)
    summary = TrainingSummary.from_dict(kept.outcome["summary"])
    run.log_params({f"recipe.{name}": value for name, value in asdict(summary.config).items()})
    run.log_metrics({"train_seconds": summary.seconds, "tokens_per_second": summary.tokens / summary.seconds})
    return kept
