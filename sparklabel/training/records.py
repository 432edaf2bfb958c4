"""What is trained, and what came of it: the records that pass between a job and whoever trains."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sparklabel.language_model import LanguageModel, TrainingConfig, TrainingExample, TrainingSummary
from sparklabel.language_model.training.trainer import OnStep
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
    """

    base: ResolvedModel
    examples: Sequence[TrainingExample]
    config: TrainingConfig
    choices: int | None
    load: Callable[[], LanguageModel]
    own: str = ""


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training did; the adapter is in the folder that was asked for. `kept_in` has the checkpoints, if any."""

    summary: TrainingSummary
    attempts: int = 1
    processes: int = 1
    kept_in: Path | None = None


Trainer = Callable[[Training, Path, OnStep], Trained]
"""Trains into a folder. The last argument is called once a step, however many attempts there are."""
