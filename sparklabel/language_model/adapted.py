"""Adapters of a model that is in memory already: their weights stand beside its own, and take turns with them.

In: a loaded model, the folder that it came from, an adapter's folder. Out: the weights that the adapter changes, merged
and rounded as `LanguageModel.load` does: bit by bit what a model of its own would have.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from sparklabel.language_model.model import LanguageModel

AdaptedWeights = Mapping[str, Tensor]
"""Parameters by name; only those that differ from the base's."""


def adapted_weights(language_model: LanguageModel, base: Path, adapter: Path) -> AdaptedWeights:
    """Takes four bytes of the host's memory for each weight of the base while it loads. Raises ModelError."""
    own = language_model.own_weights()
    dtype = str(language_model.model.dtype).removeprefix("torch.")
    merged = LanguageModel.load(base, adapter, dtype=dtype, device="cpu").model.named_parameters()
    changed = {name: tensor.data for name, tensor in merged if not torch.equal(tensor.data, own[name].cpu())}
    return {name: tensor.to(language_model.device) for name, tensor in changed.items()}
