"""A sentence encoder.

In: texts. Out: unit vectors, whose dot products are the texts' cosine similarities. It searches nothing.

For models like all-MiniLM-L6-v2: the mean of the last hidden states of a text's tokens, scaled to length 1 (Reimers
and Gurevych 2019, arXiv:1908.10084). It runs on the CPU and leaves the accelerator to the language model.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST_TOKENS, _BATCH_TOKENS = 256, 4096
"""The longest text, as in the model's training: what follows is not read. And a batch's tokens, padding included."""


class SentenceEncoder:
    """A sentence encoder on the CPU. `identity` names the model: vectors of two identities must not be compared."""

    def __init__(self, identity: str, model: Any, tokenizer: Any) -> None:
        self.identity, self._model, self._tokenizer = identity, model, tokenizer

    @classmethod
    def load(cls, folder: Path, identity: str) -> "SentenceEncoder":
        """Loads a folder with a model and its tokenizer."""
        import torch
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()
        how = {"local_files_only": True, "trust_remote_code": False}
        model = AutoModel.from_pretrained(folder, dtype=torch.float32, use_safetensors=True, **how)
        return cls(identity, model.eval(), AutoTokenizer.from_pretrained(folder, **how))

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeds N texts as unit vectors [N, D]. Equal texts are embedded once, texts of similar length together."""
        distinct = list(dict.fromkeys(texts))
        if not distinct:
            return np.zeros((0, int(self._model.config.hidden_size)), dtype=np.float32)
        ids = self._tokenizer(distinct, truncation=True, max_length=_MOST_TOKENS)["input_ids"]
        order = sorted(range(len(ids)), key=lambda number: len(ids[number]))
        vectors = np.zeros((len(ids), int(self._model.config.hidden_size)), dtype=np.float32)
        for batch in _batches(order, ids):
            vectors[batch] = self._embed([ids[number] for number in batch])
        position = {text: number for number, text in enumerate(distinct)}
        return vectors[[position[text] for text in texts]]

    def _embed(self, ids: list[list[int]]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            padded = self._tokenizer.pad({"input_ids": ids}, return_tensors="pt")
            hidden = self._model(**padded).last_hidden_state
            mask = padded["attention_mask"].unsqueeze(-1)
            mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
            found: NDArray[np.float32] = torch.nn.functional.normalize(mean, dim=1).numpy()
            return found


def _batches(order: list[int], ids: list[list[int]]) -> list[list[int]]:
    """Divides positions in order of length into batches of up to `_BATCH_TOKENS`, padded to the longest."""
    batches: list[list[int]] = [[]]
    for number in order:
        if batches[-1] and (len(batches[-1]) + 1) * len(ids[number]) > _BATCH_TOKENS:
            batches.append([])
        batches[-1].append(number)
    return batches
