"""Trainable weights as one flat vector of float32 master weights.

In: a model whose trained parameters require gradients. Out: their gradients, digest and new values. Ranks add up one
gradient, and an optimizer steps on one tensor. It knows no loss, no data and no files.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

_HALF_SCALE = 1024.0
"""float16 gradients underflow without it; bfloat16 has float32's range."""


class FlatWeights:
    """The trainable weights of a model, in the model's own type; `parameters` is how many. Optimizers step on `master`,
    the float32 copy."""

    def __init__(self, weights: Sequence[nn.Parameter]) -> None:
        self._weights = weights
        first = weights[0]
        self._scale = _HALF_SCALE if first.dtype is torch.float16 else 1.0
        self.parameters = sum(p.numel() for p in weights)
        self.master = torch.cat([p.detach().float().flatten() for p in weights]).requires_grad_()
        # Weights and gradients are views of two flat vectors: one copy, one norm and one optimizer step for all.
        self._flat = self.master.detach().to(first.dtype)
        self._gradient = torch.zeros_like(self._flat)
        self.master.grad = torch.zeros_like(self.master)
        self._compute()

    @property
    def gradient(self) -> Tensor:
        """Of `master`, which `backward` writes."""
        assert self.master.grad is not None
        return self.master.grad

    @property
    def digest(self) -> str:
        """A hash of `master`: ranks that trained together must end with the same weights."""
        return hashlib.sha256(self.master.detach().cpu().numpy().tobytes()).hexdigest()

    def backward(self, losses: Iterable[Tensor]) -> float:
        """Writes the gradients of the sum of `losses` into `gradient`, one loss at a time to save memory. Returns the
        sum."""
        self._gradient.zero_()
        total = 0.0
        for loss in losses:
            (loss * self._scale).backward()
            total += loss.item()
        self.gradient.copy_(self._gradient).div_(self._scale)
        return total

    def refresh(self) -> None:
        """Copies `master` into the weights that compute, after an optimizer step."""
        self._flat.copy_(self.master.detach())

    @contextmanager
    def holding_master(self) -> Iterator[None]:
        """Inside, the model has the float32 weights, to be saved."""
        for weight, values in zip(self._weights, self._views(self.master.detach()), strict=True):
            weight.grad, weight.data = None, values.clone()
        try:
            yield
        finally:
            self._compute()

    def _compute(self) -> None:
        for weight, values, gradient in zip(
            self._weights, self._views(self._flat), self._views(self._gradient), strict=True
        ):
            weight.data, weight.grad = values, gradient

    def _views(self, flat: Tensor) -> list[Tensor]:
        parts = flat.split([weight.numel() for weight in self._weights])
        return [part.view(weight.shape) for part, weight in zip(parts, self._weights, strict=True)]
