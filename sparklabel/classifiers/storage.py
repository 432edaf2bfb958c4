"""Heads in a file: safetensors, no pickle.

In: a folder. Out: heads, as they were saved. What is read may come from a registry that others write to: only arrays
are.
"""

from collections.abc import Mapping
from pathlib import Path

from sparklabel.classifiers.heads import Features, Head, Scaling
from sparklabel.errors import ModelError

_FILE = "heads.safetensors"
_PARTS = ("mean", "scale", "weights", "bias")


def save_heads(heads: Mapping[str, Head], folder: Path) -> None:
    """Saves heads by name into one file in the folder."""
    from safetensors.numpy import save_file

    arrays: dict[str, Features] = {}
    for name, head in heads.items():
        parts = (head.scaling.mean, head.scaling.scale, head.weights, head.bias)
        arrays |= {f"{name}.{part}": array for part, array in zip(_PARTS, parts, strict=True)}
    save_file(arrays, folder / _FILE)


def load_heads(folder: Path, names: tuple[str, ...], groups: tuple[int, ...]) -> dict[str, Head]:
    """The heads with these names. Raises ModelError if the file is missing or damaged, or they are for other choices.

    Args:
        folder: Where they were saved.
        names: Of the heads.
        groups: The sizes of the task's groups of choices.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = load_file(folder / _FILE)
        heads = {}
        for name in names:
            mean, scale, weights, bias = (arrays[f"{name}.{part}"] for part in _PARTS)
            heads[name] = Head(Scaling(mean, scale), weights, bias, groups)
    except (OSError, SafetensorError, KeyError) as error:
        raise ModelError(f"The classifier in {folder} cannot be read: {error}") from None
    for name, head in heads.items():
        if head.bias.shape != (sum(groups),) or head.weights.shape != (len(head.scaling.mean), sum(groups)):
            raise ModelError(
                f"The head {name!r} of the classifier in {folder} is for other choices than the task has."
            )
    return heads
