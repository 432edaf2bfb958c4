"""The loop over a training's optimizer steps, whatever it trains: gradients, steps, checkpoints, and their resumption.

In: steps that give gradients, an optimizer. Out: the losses. Its state is how many steps are done: their order is a
function of what is trained on.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

import numpy as np

from sparklabel.errors import ModelError, TrainingInterrupted
from sparklabel.language_model.training.checkpoints import Checkpoint, Checkpoints
from sparklabel.language_model.training.config import TrainingConfig
from sparklabel.language_model.training.ranks import Ranks
from sparklabel.progress import tell
from sparklabel.stored_records import read_record


@dataclass(frozen=True, slots=True)
class StepMetrics:
    """One optimizer step. `loss`: mean negative log-probability of the right answer in nats; `tokens` without padding;
    `seconds` since training began, with those of earlier attempts."""

    step: int
    steps: int
    epoch: int
    loss: float
    learning_rate: float
    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class TrainingSummary:
    """What a training run did. `loss` is the last epoch's mean; `tokens` without padding, over all epochs;
    `frozen_seconds` is the part of `seconds` spent once on the frozen layers; `parameters` counts the trained ones;
    `config` has a number in place of each None; `digest` is a hash of the trained float32 weights."""

    steps: int
    examples: int
    loss: float
    tokens: int
    seconds: float
    frozen_seconds: float
    parameters: int
    config: TrainingConfig
    digest: str = ""

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> "TrainingSummary":
        """What `asdict` gave, read back from JSON. Other keys are ignored."""
        return read_record(cls, dict(found) | {"config": TrainingConfig.from_dict(found["config"])})


OnStep = Callable[[StepMetrics], None]


@dataclass(frozen=True, slots=True)
class Votes:
    """What the ranks say of a step, added up: the loss, whether any was asked to end, and whether the first one's
    checkpoint is due. All ranks then do the same."""

    loss: float
    is_ending: bool
    is_due: bool


class Steps(Protocol):
    """The steps of a training, by number, from 0."""

    @property
    def digest(self) -> str:
        """A hash of their order: a training goes on only from a checkpoint with the same one."""

    @property
    def count(self) -> int: ...

    def epoch(self, number: int) -> int:
        """From 1."""

    def tokens(self, number: int) -> int:
        """Without padding, of all ranks."""

    @property
    def all_tokens(self) -> int:
        """Those of all steps."""

    def gradient(self, number: int) -> float:
        """Puts this rank's part of the gradient of the step's mean loss into the weights; returns its part of the
        loss."""


class Optimizer(Protocol):
    """What does a step with a gradient, and keeps all that is needed to go on later."""

    @property
    def learning_rate(self) -> float:
        """Of the next step."""

    def all_reduce(self, votes: Votes) -> Votes:
        """Adds up the ranks' gradients, and their votes."""

    def step(self) -> None: ...

    def save(self, checkpoints: Checkpoints, step: int, values: Mapping[str, Any]) -> None:
        """Writes a checkpoint. Called on all ranks. Raises ModelError if it cannot be written."""

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes on from a checkpoint."""

    def finish(self) -> None:
        """Waits until what is being written is written."""


class TrainingLoop:
    """Runs over all steps, from those on that a checkpoint has done. `start` is when the training began, as
    `time.perf_counter` gives it."""

    def __init__(self, steps: Steps, optimizer: Optimizer, ranks: Ranks, start: float) -> None:
        self._steps, self._optimizer, self._ranks = steps, optimizer, ranks
        self._start, self._before = start, 0.0
        self.losses: list[float] = []

    @property
    def seconds(self) -> float:
        """Since it began, with those of earlier attempts."""
        return time.perf_counter() - self._start + self._before

    @property
    def last_loss(self) -> float:
        """The mean over the last epoch's steps."""
        last = self._steps.epoch(self._steps.count - 1)
        return float(np.mean([loss for n, loss in enumerate(self.losses) if self._steps.epoch(n) == last]))

    def run(self, on_step: OnStep | None, checkpoints: Checkpoints | None) -> None:
        """Raises TrainingInterrupted if a rank was lost, or one was asked to end and the checkpoint is written;
        ModelError if the newest checkpoint is of another training."""
        if checkpoints:
            self._resume(checkpoints)
        for number in range(len(self.losses), self._steps.count):
            rate = self._optimizer.learning_rate
            votes = self._optimizer.all_reduce(self._votes(self._steps.gradient(number), checkpoints))
            self.losses.append(votes.loss)
            self._optimizer.step()
            if on_step:
                on_step(self._metrics(number, rate))
            # After the step was told: a step that is told twice shows in its record, and one that never is does not.
            if checkpoints and (votes.is_ending or votes.is_due):
                self._save(checkpoints, votes.is_ending)
            if votes.is_ending:
                raise TrainingInterrupted(f"The training was asked to end after step {number + 1}.")
        try:
            self._optimizer.finish()
        except ModelError as error:  # what was trained is saved next, and needs no checkpoint
            tell(error.message)

    def _votes(self, loss: float, checkpoints: Checkpoints | None) -> Votes:
        is_due = checkpoints is not None and self._ranks.rank == 0 and checkpoints.is_due
        return Votes(loss, checkpoints is not None and checkpoints.end_asked, is_due)

    def _metrics(self, number: int, rate: float) -> StepMetrics:
        steps = self._steps
        return StepMetrics(
            number + 1,
            steps.count,
            steps.epoch(number),
            self.losses[-1],
            rate,
            steps.tokens(number),
            self.seconds,
        )

    def _save(self, checkpoints: Checkpoints, is_ending: bool) -> None:
        values = {
            "plan": self._steps.digest, "losses": list(self.losses), "seconds": self.seconds,
            "world_size": self._ranks.world_size,
        }  # fmt: skip
        try:
            self._optimizer.save(checkpoints, len(self.losses), values)
            if is_ending:
                self._optimizer.finish()
        except ModelError as error:
            if is_ending:
                raise
            tell(f"{error.message} The training goes on.")

    def _resume(self, checkpoints: Checkpoints) -> None:
        found = checkpoints.newest()
        seen = f"{found.folder.parent.name}/{found.folder.name}" if found else ""
        if not self._ranks.agree(sha256(seen.encode()).hexdigest()):
            raise TrainingInterrupted(
                "The ranks do not see the same newest checkpoint.",
                hint="Does the file system that they share show all of them what one has written?",
            )
        if found is None:
            return
        values = found.values()
        if values["plan"] != self._steps.digest:
            raise ModelError(
                f"The checkpoint in {found.folder} is of a training with other examples or another order.",
                hint="Name another folder for the checkpoints, or delete that one.",
            )
        if len(values["losses"]) != found.step:
            raise ModelError(
                f"The checkpoint in {found.folder} has the losses of {len(values['losses'])} steps.",
                hint="Delete that folder: the training goes on from the one before.",
            )
        self._optimizer.restore(found)
        self.losses, self._before = list(values["losses"]), values["seconds"]
