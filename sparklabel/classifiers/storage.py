"""A classifier's heads in a file: safetensors, no pickle.

In: a folder. Out: the classifier, as it was saved. What is read may come from a registry that others write to: only
arrays are.
"""

from collections.abc import Mapping
from pathlib import Path

from sparklabel.classifiers.classifier import WITHOUT_HEAD, Classifier
from sparklabel.classifiers.heads import Features, Head, Scaling
from sparklabel.classifiers.pooling import Pool
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


def load_classifier(folder: Path, weights: Mapping[str, float], groups: tuple[int, ...]) -> Classifier:
    """The classifier whose heads were saved in the folder. Raises ModelError if the file is missing or damaged, or the
    heads are for other choices.

    Args:
        folder: Where they were saved.
        weights: The sources with their weights in the pool.
        groups: The sizes of the task's groups of choices.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = load_file(folder / _FILE)
        heads = {}
        for name in weights.keys() - WITHOUT_HEAD:
            mean, scale, coefficients, bias = (arrays[f"{name}.{part}"] for part in _PARTS)
            heads[name] = Head(Scaling(mean, scale), coefficients, bias, groups)
    except (OSError, SafetensorError, KeyError) as error:
        raise ModelError(f"The classifier in {folder} cannot be read: {error}") from None
    for name, head in heads.items():
        if head.bias.shape != (sum(groups),) or head.weights.shape != (len(head.scaling.mean), sum(groups)):
            raise ModelError(
                f"The head {name!r} of the classifier in {folder} is for other choices than the task has."
            )
    return Classifier(heads, Pool(dict(weights), groups))
