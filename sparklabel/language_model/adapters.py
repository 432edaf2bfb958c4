"""Adapters merged into a base model: in memory, or saved for engines that load none of ours."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from sparklabel.language_model.model import LanguageModel, best_dtype

AdaptedWeights = Mapping[str, Tensor]
"""Parameters by name; only those that differ from the base's."""


def adapted_weights(language_model: LanguageModel, base: Path, adapter: Path) -> AdaptedWeights:
    """Takes four bytes of the host's memory for each weight of the base while it loads. Raises ModelError."""
    own = language_model.base_weights()
    dtype = str(language_model.model.dtype).removeprefix("torch.")
    merged = LanguageModel.load(base, adapter, dtype=dtype, device="cpu").model.named_parameters()
    changed = {name: tensor.data for name, tensor in merged if not torch.equal(tensor.data, own[name].cpu())}
    return {name: tensor.to(language_model.device) for name, tensor in changed.items()}


def dtype_name(device: str) -> str:
    """What "auto" comes to on the device, as engines other than ours name it."""
    return str(best_dtype(device)).removeprefix("torch.")


def save_merged(base: Path, adapter: Path, folder: Path, dtype: str) -> None:
    """Merges in float32 and casts afterwards, as `LanguageModel.load` does: the same weights bit by bit, so that
    engines agree. Takes four bytes of memory a weight. Raises ModelError."""
    LanguageModel.load(base, adapter, dtype=dtype, device="cpu").model.save_pretrained(folder)
