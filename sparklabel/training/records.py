"""What is trained, and what came of it: the records that pass between a job and whoever trains."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sparklabel import registry
from sparklabel.language_model import (
    LanguageModel,
    PackTraining,
    TrainingConfig,
    TrainingExample,
    TrainingSummary,
    default_device,
    train_lora,
)
from sparklabel.language_model.training.checkpoints import Checkpoints
from sparklabel.language_model.training.loop import OnStep
from sparklabel.language_model.training.packs import PackFolder
from sparklabel.language_model.training.run_folder import TrainingSpec
from sparklabel.models.references import ResolvedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What is trained, whoever trains it.

    Attributes:
        base: The base model.
        examples: What it learns.
        config: Epochs, learning rate and the like.
        choices: How many choices the task has; None if answers are written.
        load: Gives the loaded base, for a training in this process.
        own: Keeps its checkpoints apart from those of equal trainings.
        packs: What it learns in place of examples, for an instruction tuning.
    """

    base: ResolvedModel
    examples: Sequence[TrainingExample]
    config: TrainingConfig
    choices: int | None
    load: Callable[[], LanguageModel]
    own: str = ""
    packs: PackFolder | None = None

    @property
    def spec(self) -> TrainingSpec:
        """As a folder of checkpoints has it."""
        packs = (str(self.packs.path), self.packs.manifest.digest) if self.packs else ("", "")
        return TrainingSpec(self.base.identity, self.config, self.choices, *packs)

    def run(self, folder: Path, on_step: OnStep, checkpoints: Checkpoints | None = None) -> TrainingSummary:
        """Trains in this process."""
        if self.packs is not None:
            return PackTraining(
                base=registry.fetch(self.base).base, packs=self.packs, config=self.config, folder=folder,
                on_step=on_step, checkpoints=checkpoints, device=default_device(), load=self.load,
            ).run()  # fmt: skip
        return train_lora(
            self.load(),
            self.examples,
            self.config,
            folder,
            on_step,
            choices=self.choices,
            checkpoints=checkpoints,
        )


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training did; the adapter is in the folder that was asked for. `kept_in` has the checkpoints, if any."""

    summary: TrainingSummary
    attempts: int = 1
    processes: int = 1
    kept_in: Path | None = None


Trainer = Callable[[Training, Path, OnStep], Trained]
"""Trains into a folder. The last argument is called once a step, however many attempts there are."""
