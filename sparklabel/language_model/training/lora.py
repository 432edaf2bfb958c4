"""LoRA adapters inside a model: PEFT's modules, over one flat vector of float32 master weights.

In: a loaded model and what to adapt. Out: gradients, and a folder in PEFT's layout. It knows no loss and no data. PEFT
creates, computes, names, saves and removes the adapters, in the model's own type. Ours is the flat vector: ranks add up
one gradient, and an optimizer steps on one tensor.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sparklabel.errors import ModelError

_HALF_SCALE = 1024.0
"""float16 gradients underflow without it; bfloat16 has float32's range."""


@contextmanager
def adapted(
    model: nn.Module, layers: Sequence[int], targets: Sequence[str], rank: int, lora_alpha: float
) -> Iterator["Adapter"]:
    """Inside, `model` has trainable adapters in these layers; afterwards it is as it was. Initial weights come from
    torch's random number generator.

    Args:
        model: a transformers model.
        layers: numbers of the decoder layers to adapt.
        targets: names of linear modules; those that the model lacks are ignored.
        rank: LoRA's rank.
        lora_alpha: LoRA's scale.

    Raises:
        ModelError: if peft is missing, or the model has no linear layers.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise ModelError("Fine-tuning needs peft.", hint="pip install 'sparklabel[train]'") from None
    flags = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    attributes = set(vars(model))
    lora_config = LoraConfig(
        r=rank, lora_alpha=lora_alpha, target_modules=_present(model, targets), layers_to_transform=list(layers),
        task_type="CAUSAL_LM",
    )  # fmt: skip
    wrapped: Any = get_peft_model(model, lora_config, autocast_adapter_dtype=False)
    try:
        yield Adapter(wrapped)
    finally:
        wrapped.unload()
        for name in set(vars(model)) - attributes:
            delattr(model, name)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(flags[name])


def _present(model: nn.Module, targets: Sequence[str]) -> list[str]:
    """The wanted modules that the model has, or all its linear ones if it has none of them."""
    head = model.get_output_embeddings()
    linear = {
        name.rpartition(".")[2] for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not head
    }  # fmt: skip
    found = sorted(linear & set(targets)) or sorted(linear)
    if not found:
        raise ModelError(f"{type(model).__name__} has no linear layers to adapt.")
    return found


class Adapter:
    """The trainable weights; `parameters` is how many. Optimizers step on `master`, the float32 copy."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped
        self._weights = [p for p in wrapped.parameters() if p.requires_grad]
        first = self._weights[0]
        self._scale = _HALF_SCALE if first.dtype is torch.float16 else 1.0
        self.parameters = sum(p.numel() for p in self._weights)
        self.master = torch.cat([p.detach().float().flatten() for p in self._weights]).requires_grad_()
        # Weights and gradients are views of two flat vectors: one copy, one norm and one optimizer step for all.
        self._flat = self.master.detach().to(first.dtype)
        self._gradient = torch.zeros_like(self._flat)
        self.master.grad = torch.zeros_like(self.master)
        for weight, values, gradient in zip(
            self._weights, self._views(self._flat), self._views(self._gradient), strict=True
        ):
            weight.data, weight.grad = values, gradient

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

    def save(self, folder: Path) -> None:
        """Saves the float32 weights in PEFT's layout."""
        computing = [weight.data for weight in self._weights]
        for weight, values in zip(self._weights, self._views(self.master.detach()), strict=True):
            weight.grad, weight.data = None, values.clone()
        # By default PEFT asks the hub whether the vocabulary grew.
        self._wrapped.save_pretrained(folder, save_embedding_layers=False)
        for weight, values, gradient in zip(
            self._weights, computing, self._views(self._gradient), strict=True
        ):
            weight.data, weight.grad = values, gradient

    def _views(self, flat: Tensor) -> list[Tensor]:
        parts = flat.split([weight.numel() for weight in self._weights])
        return [part.view(weight.shape) for part, weight in zip(parts, self._weights, strict=True)]
