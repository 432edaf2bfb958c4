"""Adapters merged into a base model: in memory for our engine, or saved for engines that load model folders.

In: a base folder and an adapter folder. Out: changed weights, or a folder. Nothing is trained here.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from sparklabel.language_model.model import LanguageModel, best_dtype

AdaptedWeights = Mapping[str, Tensor]
"""Parameters by name, only those that differ from the base's."""


def adapted_weights(language_model: LanguageModel, base: Path, adapter: Path) -> AdaptedWeights:
    """The weights that `LanguageModel.set_active_adapter` needs to answer with an adapter.

    Args:
        language_model: the loaded base.
        base: the folder that it was loaded from.
        adapter: a folder in PEFT's layout.

    Returns:
        Weights on the model's device. Loading takes four bytes of the host's memory for each weight of the base.

    Raises:
        ModelError: if the files do not load.
    """
    own = language_model.base_weights()
    dtype = str(language_model.model.dtype).removeprefix("torch.")
    merged = LanguageModel.load(base, adapter, dtype=dtype, device="cpu").model.named_parameters()
    changed = {name: tensor.data for name, tensor in merged if not torch.equal(tensor.data, own[name].cpu())}
    return {name: tensor.to(language_model.device) for name, tensor in changed.items()}


def dtype_name(device: str) -> str:
    """The name of the dtype that "auto" means on a device, for engines other than ours."""
    return str(best_dtype(device)).removeprefix("torch.")


def save_merged(base: Path, adapter: Path, folder: Path, dtype: str) -> None:
    """Saves a base with an adapter merged into it, in `dtype`.

    It merges in float32 and casts afterwards, as `LanguageModel.load` does: engines get the same weights bit by bit.
    It takes four bytes of memory a weight. Raises ModelError.
    """
    LanguageModel.load(base, adapter, dtype=dtype, device="cpu").model.save_pretrained(folder)
