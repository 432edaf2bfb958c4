"""What one optimizer step does with a gradient, and all that has to be kept to go on later.

In: weights with their gradient. Out: changed weights; or a checkpoint.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import get_cosine_schedule_with_warmup

from sparklabel.language_model.training.checkpoints import Checkpoint, Checkpoints
from sparklabel.language_model.training.config import TrainingConfig
from sparklabel.language_model.training.flat_weights import FlatWeights
from sparklabel.language_model.training.loop import Votes
from sparklabel.language_model.training.ranks import ALONE, Ranks

_WEIGHTS = "weights"


class FlatOptimizer:
    """AdamW on flat float32 weights, with the schedule of its learning rate."""

    def __init__(
        self, weights: FlatWeights, config: TrainingConfig, steps: int, ranks: Ranks = ALONE
    ) -> None:
        self._weights, self._most, self._ranks = weights, config.max_grad_norm, ranks
        self._optimizer = torch.optim.AdamW([weights.master], config.peak, weight_decay=config.weight_decay)
        self._schedule = cosine_schedule(self._optimizer, steps, config.warmup_ratio)

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        (rate,) = self._schedule.get_last_lr()
        return float(rate)

    def step(self) -> None:
        """Takes a step along the gradient, scaled down to the greatest norm; none if the gradient is not finite."""
        gradient = self._weights.gradient
        norm = gradient.norm()
        if torch.isfinite(norm):
            gradient.mul_((self._most / (norm + 1e-6)).clamp(max=1.0))
            self._optimizer.step()
            self._schedule.step()
            self._weights.refresh()

    def all_reduce(self, votes: Votes) -> Votes:
        """Adds up the ranks' gradients, and their votes, in one message."""
        if self._ranks.world_size == 1:
            return votes
        gradient = self._weights.gradient
        told = gradient.new_tensor([votes.loss, float(votes.is_ending), float(votes.is_due)])
        total = torch.cat([gradient, told])
        self._ranks.sum(total)
        gradient.copy_(total[: -len(told)])
        loss, is_ending, is_due = total[-len(told) :].tolist()
        return Votes(loss, is_ending > 0, is_due > 0)

    def save(self, checkpoints: Checkpoints, step: int, values: Mapping[str, Any]) -> None:
        """The first rank writes the weights and AdamW's moments, and what is no tensor: enough to go on as if nothing
        had been."""
        if self._ranks.rank != 0:
            return
        found = self._optimizer.state_dict()
        tensors = {_WEIGHTS: self._weights.master.detach(), **found["state"].get(0, {})}
        facts = {"groups": found["param_groups"], "schedule": self._schedule.state_dict()}
        checkpoints.save(step, tensors, {**values, "optimizer": facts})

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes on from what `save` wrote."""
        tensors, facts = checkpoint.tensors(), checkpoint.values()["optimizer"]
        with torch.no_grad():
            self._weights.master.copy_(tensors[_WEIGHTS])
        moments = {name: values for name, values in tensors.items() if name != _WEIGHTS}
        groups = [group | {"betas": tuple(group["betas"])} for group in facts["groups"]]
        self._optimizer.load_state_dict({"state": {0: moments} if moments else {}, "param_groups": groups})
        self._schedule.load_state_dict(dict(facts["schedule"]))
        self._weights.refresh()

    def finish(self) -> None:
        """What is saved is written at once."""


def cosine_schedule(optimizer: torch.optim.Optimizer, steps: int, warmup_ratio: float) -> LambdaLR:
    """Sets the learning rate of each of `steps` optimizer steps: from 0 linearly up to the optimizer's own rate, then
    down as a cosine that would reach 0 after the last one. A single step runs at the peak."""
    warmup = min(math.ceil(warmup_ratio * steps), steps - 1)
    schedule: LambdaLR = get_cosine_schedule_with_warmup(optimizer, warmup, steps)
    return schedule
