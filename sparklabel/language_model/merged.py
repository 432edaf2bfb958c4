"""A fine-tuned model as plain weights, for engines that load no adapters of ours.

In: a base model's folder and an adapter's. Out: a folder with weights and configuration, without a tokenizer.
"""

from pathlib import Path

from sparklabel.language_model.model import LanguageModel, best_dtype


def dtype_name(device: str) -> str:
    """What "auto" comes to on the device, as engines other than ours name it."""
    return str(best_dtype(device)).removeprefix("torch.")


def save_merged(base: Path, adapter: Path, folder: Path, dtype: str) -> None:
    """Merges in float32 and casts afterwards, as `LanguageModel.load` does: the same weights bit by bit, so that
    engines agree. Takes four bytes of memory a weight. Raises ModelError."""
    LanguageModel.load(base, adapter, dtype=dtype, device="cpu").model.save_pretrained(folder)
