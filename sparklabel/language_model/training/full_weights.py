"""All weights of a model, trained.

In: a loaded model. Out: its weights as one flat vector, and a folder that transformers and vLLM read. It knows no loss
and no data.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from sparklabel.language_model.model import LanguageModel
from sparklabel.language_model.training.flat_weights import FlatWeights

_SAVED_ANEW = (
    "*.safetensors", "*.safetensors.index.json", "*.bin", "*.gguf", "*.pth", "*.pt", "*.h5", "*.onnx", ".*",
)  # fmt: skip
_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""As safetensors name them."""


class FullWeights(FlatWeights):
    """Of the model, which `base` is the folder of."""

    def __init__(self, language_model: LanguageModel, base: Path) -> None:
        self._model, self._base = language_model.model, base
        super().__init__([p for p in self._model.parameters() if p.is_floating_point()])

    def save(self, folder: Path) -> None:
        """Saves the float32 weights in the type of the base's files, with its tokenizer and configuration."""
        dtype, cast = stored_dtype(self._base), dict[int, Tensor]()
        with self.holding_master():
            # A matrix that is tied to another has its memory, by which transformers tells that it is.
            state = {
                name: cast.setdefault(values.data_ptr(), values.to(dtype))
                for name, values in self._model.state_dict().items()
            }
            self._model.save_pretrained(folder, state_dict=state)
        copy_all_but_weights(self._base, folder)


@contextmanager
def training_all(language_model: LanguageModel, base: Path) -> Iterator[FullWeights]:
    """Inside, all weights of the model are trained; afterwards it has those that it had."""
    model = language_model.model
    before = {name: (p.data, p.requires_grad) for name, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    try:
        yield FullWeights(language_model, base)
    finally:
        for name, parameter in model.named_parameters():
            parameter.grad = None
            parameter.data, flag = before[name]
            parameter.requires_grad_(flag)


def copy_all_but_weights(base: Path, folder: Path) -> None:
    """The tokenizer and the configuration of a model folder."""
    shutil.copytree(base, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*_SAVED_ANEW))


def stored_dtype(base: Path) -> torch.dtype:
    """The type of the first weights in the folder's files; bfloat16 for one that trained models are not saved in."""
    from safetensors import safe_open

    with safe_open(min(base.glob("*.safetensors")), "pt") as file:
        name = next(iter(file.keys()))
        return _DTYPES.get(file.get_slice(name).get_dtype(), torch.bfloat16)
