"""LoRA adapters inside a model: PEFT's modules, over one flat vector of float32 master weights.

In: a loaded model and what to adapt. Out: gradients, and a folder in PEFT's layout. It knows no loss and no data. PEFT
creates, computes, names, saves and removes the adapters, in the model's own type.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from sparklabel.errors import ModelError
from sparklabel.language_model.model import quiet_peft
from sparklabel.language_model.training.flat_weights import FlatWeights


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
    flags = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    attributes = set(vars(model))
    wrapped = with_adapters(model, layers, targets, rank, lora_alpha)
    try:
        yield Adapter(wrapped)
    finally:
        wrapped.unload()
        for name in set(vars(model)) - attributes:
            delattr(model, name)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(flags[name])


def with_adapters(
    model: nn.Module, layers: Sequence[int], targets: Sequence[str], rank: int, lora_alpha: float
) -> Any:
    """PEFT's model around `model`, with the same arguments and errors as `adapted`."""
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise ModelError("Fine-tuning needs peft.", hint="pip install 'sparklabel[train]'") from None
    lora_config = LoraConfig(
        r=rank, lora_alpha=lora_alpha, target_modules=_present(model, targets), layers_to_transform=list(layers),
        task_type="CAUSAL_LM",
    )  # fmt: skip
    with quiet_peft():
        return get_peft_model(model, lora_config, autocast_adapter_dtype=False)


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


class Adapter(FlatWeights):
    """The weights of the adapters in a model of PEFT's."""

    def __init__(self, wrapped: Any) -> None:
        super().__init__([p for p in wrapped.parameters() if p.requires_grad])
        self._wrapped = wrapped

    def save(self, folder: Path) -> None:
        """Saves the float32 weights in PEFT's layout."""
        with self.holding_master():
            # By default PEFT asks the hub whether the vocabulary grew.
            self._wrapped.save_pretrained(folder, save_embedding_layers=False)
