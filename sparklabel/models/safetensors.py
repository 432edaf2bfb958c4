"""Checks that a model's folder has all of its weights. None are loaded.

In: a folder. Out: nothing, or a ModelError that names the file. The header of a safetensors file gives its length, so
an incomplete download is found before a table is touched or a model is loaded.
"""

import json
from pathlib import Path

from sparklabel.errors import ModelError

_WHOLE, _INDEX = "model.safetensors", "model.safetensors.index.json"


def check_weights(folder: Path, name: str) -> None:
    """Raises ModelError if a file that transformers would load is missing or incomplete.

    An adapter's weights do not count as the model's. `name` is what a message calls the model, at its beginning.
    """
    if not any((folder / file).is_file() for file in (_WHOLE, _INDEX)):
        raise ModelError(
            f"{name} has no .safetensors weights (model.safetensors, or shards and their index).",
            hint="Pickled weights are not loaded; convert them with save_pretrained(..., safe_serialization=True).",
        )
    for file in [_WHOLE] if (folder / _WHOLE).is_file() else _shards(folder, name):
        if not (folder / file).is_file():
            raise ModelError(f"{name} lacks {file}, a part of its weights.", hint=_AGAIN)
        if not is_whole(folder / file):
            raise ModelError(
                f"{name} has a damaged file: {file} does not hold what its header says.", hint=_AGAIN
            )


_AGAIN = "Download or save the model again: a download or a copy may be incomplete."


def is_whole(path: Path) -> bool:
    """Whether a safetensors file has the length that its header implies.

    It is made of eight bytes for the header's length, the header (JSON), and the tensors up to the last of the
    `data_offsets` (https://huggingface.co/docs/safetensors).
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= size - 8:
            return False
        try:
            header = json.loads(file.read(length))
            ends = [tensor["data_offsets"][1] for key, tensor in header.items() if key != "__metadata__"]
        except (ValueError, AttributeError, LookupError, TypeError):
            return False
    return bool(size == 8 + length + max(ends, default=0))


def _shards(folder: Path, name: str) -> list[str]:
    try:
        return sorted(set(json.loads((folder / _INDEX).read_text("utf-8")).get("weight_map", {}).values()))
    except (ValueError, AttributeError, TypeError):
        raise ModelError(
            f"{name} has a damaged file: {_INDEX} is not an index of shards.", hint=_AGAIN
        ) from None
