"""What one optimizer step does with a gradient, and all that has to be kept to go on later.

In: an adapter with its gradient. Out: its changed weights; or tensors and plain values, for a checkpoint.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from transformers import get_cosine_schedule_with_warmup

from sparklabel.language_model.training.config import TrainingConfig
from sparklabel.language_model.training.lora import Adapter

_WEIGHTS = "weights"


class AdapterOptimizer:
    """AdamW on an adapter's float32 weights, with the schedule of its learning rate."""

    def __init__(self, adapter: Adapter, config: TrainingConfig, steps: int) -> None:
        self._adapter, self._most = adapter, config.max_grad_norm
        self._optimizer = torch.optim.AdamW(
            [adapter.master], config.learning_rate, weight_decay=config.weight_decay
        )
        self._schedule = cosine_schedule(self._optimizer, steps, config.warmup_ratio)

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        (rate,) = self._schedule.get_last_lr()
        return float(rate)

    def step(self) -> None:
        """Takes a step along the gradient, scaled down to the greatest norm; none if the gradient is not finite."""
        gradient = self._adapter.gradient
        norm = gradient.norm()
        if torch.isfinite(norm):
            gradient.mul_((self._most / (norm + 1e-6)).clamp(max=1.0))
            self._optimizer.step()
            self._schedule.step()
            self._adapter.refresh()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The weights and AdamW's moments, and what is no tensor: enough to go on as if nothing had been."""
        found = self._optimizer.state_dict()
        tensors = {_WEIGHTS: self._adapter.master.detach(), **found["state"].get(0, {})}
        return tensors, {"groups": found["param_groups"], "schedule": self._schedule.state_dict()}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Goes on from what `state` gave."""
        with torch.no_grad():
            self._adapter.master.copy_(tensors[_WEIGHTS])
        moments = {name: values for name, values in tensors.items() if name != _WEIGHTS}
        groups = [group | {"betas": tuple(group["betas"])} for group in facts["groups"]]
        self._optimizer.load_state_dict({"state": {0: moments} if moments else {}, "param_groups": groups})
        self._schedule.load_state_dict(dict(facts["schedule"]))
        self._adapter.refresh()


def cosine_schedule(optimizer: torch.optim.Optimizer, steps: int, warmup_ratio: float) -> LambdaLR:
    """Sets the learning rate of each of `steps` optimizer steps: from 0 linearly up to the optimizer's own rate, then
    down as a cosine that would reach 0 after the last one. A single step runs at the peak."""
    warmup = min(math.ceil(warmup_ratio * steps), steps - 1)
    schedule: LambdaLR = get_cosine_schedule_with_warmup(optimizer, warmup, steps)
    return schedule
