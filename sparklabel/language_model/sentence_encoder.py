"""A sentence encoder.

In: texts. Out: unit vectors, whose dot products are the texts' cosine similarities. It searches nothing.

For models like all-MiniLM-L6-v2: the mean of the last hidden states of a text's tokens, or the state of the first one,
scaled to length 1 (Reimers and Gurevych 2019, arXiv:1908.10084). It runs on the CPU and leaves the accelerator to the
language model.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparklabel.errors import ModelError
from sparklabel.language_model.batches import length_sorted_batches
from sparklabel.redaction import first_line

_MAX_TOKENS, _BATCH_TOKENS = 256, 4096
"""The longest text unless the model's folder names another length: what follows is not read. And a batch's tokens,
padding included."""
_LONGEST = 512
_KNOWN_MODULES = ("Transformer", "Pooling", "Normalize")


class EncoderTokenizer:
    """The tokenizer of a sentence encoder: prompts need it to count a row's tokens. `context` is how many of a text are
    read, the two around it included."""

    bos: str = ""
    stop_ids: tuple[int, ...] = ()

    def __init__(self, tokenizer: Any, context: int) -> None:
        self.tokenizer, self.context = tokenizer, context

    @classmethod
    def load(cls, folder: Path) -> "EncoderTokenizer":
        """Loads the tokenizer of a folder, without weights. Raises ModelError."""
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise ModelError(f"The encoder in {folder} does not load: {first_line(error)}") from None
        file = folder / "sentence_bert_config.json"
        given = json.loads(file.read_text("utf-8")).get("max_seq_length") if file.is_file() else None
        return cls(tokenizer, min(given or _MAX_TOKENS, tokenizer.model_max_length, _LONGEST))

    def encode(self, text: str, *, inside: bool = False) -> list[int]:
        return self.encode_rows([text])[0]

    def encode_rows(self, texts: Sequence[str], *, behind: str | None = None) -> list[list[int]]:
        if not texts:
            return []
        return [list(ids) for ids in self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]]

    def chat(self) -> tuple[str, str] | None:
        return None

    def chat_lead(self) -> str:
        return ""


class SentenceEncoder:
    """A sentence encoder on the CPU. `identity` names the model: vectors of two identities must not be compared.
    `takes_first`: a text's vector is its first token's state, not the mean of all."""

    def __init__(
        self, identity: str, model: Any, tokenizer: EncoderTokenizer, *, takes_first: bool = False
    ) -> None:
        self.identity, self.model, self.tokenizer = identity, model, tokenizer
        self._takes_first = takes_first

    @classmethod
    def load(cls, folder: Path, identity: str, threads: int | None = None) -> "SentenceEncoder":
        """Loads a folder with a model and its tokenizer, as sentence-transformers saves one. `threads` are torch's, on
        the CPU. Raises ModelError if it does not load, or computes its vectors in another way."""
        import torch
        from transformers import AutoModel
        from transformers.utils import logging

        if threads is not None:
            torch.set_num_threads(threads)
        takes_first = _pooling(folder) == "cls"
        tokenizer = EncoderTokenizer.load(folder)
        logging.disable_progress_bar()
        try:
            model = AutoModel.from_pretrained(
                folder, dtype=torch.float32, use_safetensors=True, local_files_only=True, trust_remote_code=False
            )  # fmt: skip
        except (OSError, ValueError) as error:
            raise ModelError(f"The encoder in {folder} does not load: {first_line(error)}") from None
        return cls(identity, model.eval(), tokenizer, takes_first=takes_first)

    @property
    def dimensions(self) -> int:
        return int(self.model.config.hidden_size)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeds N texts as unit vectors [N, D]. Equal texts are embedded once, texts of similar length together."""
        distinct = list(dict.fromkeys(texts))
        if not distinct:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        ids = self.token_ids(distinct)
        vectors = np.zeros((len(ids), self.dimensions), dtype=np.float32)
        for batch in length_sorted_batches([*map(len, ids)], 0, _BATCH_TOKENS):
            vectors[batch] = self._embed([ids[number] for number in batch])
        position = {text: number for number, text in enumerate(distinct)}
        return vectors[[position[text] for text in texts]]

    def save(self, folder: Path) -> None:
        """Saves it as sentence-transformers does; `load` gives it back."""
        from transformers.utils import logging

        logging.disable_progress_bar()
        self.model.save_pretrained(folder)
        self.tokenizer.tokenizer.save_pretrained(folder)
        mode = "cls_token" if self._takes_first else "mean_tokens"
        content = {
            "modules.json": [{"type": f"sentence_transformers.models.{kind}"} for kind in _KNOWN_MODULES],
            "sentence_bert_config.json": {"max_seq_length": self.tokenizer.context},
            "1_Pooling/config.json": {f"pooling_mode_{mode}": True},
        }
        for name, fields in content.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(json.dumps(fields), "utf-8")

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text as the model reads it, cut after `tokenizer.context` of them."""
        found = self.tokenizer.tokenizer(list(texts), truncation=True, max_length=self.tokenizer.context)
        return [list(ids) for ids in found["input_ids"]]

    def forward(self, ids: list[list[int]]) -> Any:
        """A torch tensor [N, D] of unit vectors, with its gradient if that is wanted."""
        import torch

        padded = self.tokenizer.tokenizer.pad({"input_ids": ids}, return_tensors="pt")
        hidden = self.model(**padded).last_hidden_state
        if self._takes_first:
            return torch.nn.functional.normalize(hidden[:, 0], dim=1)
        mask = padded["attention_mask"].unsqueeze(-1)
        return torch.nn.functional.normalize((hidden * mask).sum(dim=1) / mask.sum(dim=1), dim=1)

    def _embed(self, ids: list[list[int]]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            found: NDArray[np.float32] = self.forward(ids).numpy()
            return found


def _pooling(folder: Path) -> str:
    """How vectors come from hidden states: "mean" or "cls". Raises ModelError for another way."""
    modules = folder / "modules.json"
    if not modules.is_file():
        return "mean"
    found = [
        str(module.get("type", "")).rpartition(".")[2] for module in json.loads(modules.read_text("utf-8"))
    ]
    if others := [name for name in found if name not in _KNOWN_MODULES]:
        raise ModelError(
            f"The encoder in {folder} has a module {others[0]!r}, and sparklabel knows {', '.join(_KNOWN_MODULES)}.",
            hint="Give another encoder.",
        )
    file = folder / "1_Pooling" / "config.json"
    pooling = json.loads(file.read_text("utf-8")) if file.is_file() else {"pooling_mode_mean_tokens": True}
    modes = [name for name, value in pooling.items() if name.startswith("pooling_mode_") and value is True]
    if modes == ["pooling_mode_mean_tokens"]:
        return "mean"
    if modes == ["pooling_mode_cls_token"]:
        return "cls"
    raise ModelError(
        f"The encoder in {folder} pools with {', '.join(modes) or 'nothing'}, and sparklabel knows the mean of all "
        "tokens and the first one.",
        hint="Give another encoder.",
    )
