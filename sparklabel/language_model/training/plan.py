"""The order of a training: which examples each optimizer step learns from.

In: the examples' lengths and a config. Out: steps, a pure function of both, whatever the number of ranks that share
them; so where a training is in its order is one number. NumPy only.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sparklabel.language_model.batches import shuffled_batches
from sparklabel.language_model.training.config import TrainingConfig

_SORTED_BATCHES = 32
"""Lengths are sorted within this many batches: 3% of the tokens are padding then (9% with 8)."""


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One optimizer step: its epoch, from 1, and the numbers of the examples of its batch."""

    epoch: int
    batch: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """All steps of a training, in order."""

    steps: tuple[PlannedStep, ...]

    @classmethod
    def of(cls, lengths: Sequence[int], config: TrainingConfig) -> "TrainingPlan":
        """Of each epoch all examples once: shuffled, sorted by length within groups of batches, and the batches
        shuffled again. `lengths` are in tokens; `config` has a number of epochs."""
        return cls(tuple(_steps(lengths, config)))

    @property
    def epochs(self) -> int:
        return self.steps[-1].epoch

    @property
    def digest(self) -> str:
        """A hash of the order: a training goes on only from a checkpoint with the same one."""
        content = [[step.epoch, *step.batch] for step in self.steps]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _steps(lengths: Sequence[int], config: TrainingConfig) -> Iterator[PlannedStep]:
    random = np.random.default_rng(config.seed)
    for epoch in range(1, config.epoch_count + 1):
        for batch in shuffled_batches(random, lengths, config.step_size, _SORTED_BATCHES):
            yield PlannedStep(epoch, tuple(batch))
