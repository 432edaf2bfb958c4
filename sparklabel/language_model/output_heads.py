"""The output matrix, for a few tokens or for the whole vocabulary.

In: hidden states, with or without gradients. Out: float32 logits of some tokens and of END, or of all tokens. The
options' rows of the matrix are never trained.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sparklabel.label_trie import END

LOGITS_AT_ONCE = 2**26
"""Logits over the vocabulary that are in memory at once: 256 MiB of float32."""


class OptionHead:
    """The rows of a model's output matrix for some tokens and the stop ids. `column[token]` is the column of a token's
    logit, END included."""

    def __init__(self, model: Any, stop_ids: Sequence[int], tokens: Iterable[int]) -> None:
        needed = sorted({token for token in tokens if token != END} | set(stop_ids))
        self.column = {token: number for number, token in enumerate(needed)} | {END: len(needed)}
        head = model.get_output_embeddings()
        rows = torch.tensor(needed, device=head.weight.device)
        # Few enough for float32. Near 30, bfloat16 rounds logits to eighths.
        self._weight = head.weight.detach()[rows].float()
        self._bias = head.bias.detach()[rows].float() if getattr(head, "bias", None) is not None else None
        self._stops = torch.tensor([self.column[stop] for stop in stop_ids], device=rows.device)
        self._config = model.config

    def __call__(self, hidden: Tensor) -> Tensor:
        """Hidden states [..., D] after the final norm to logits [..., C]. The last column is END: the logsumexp over
        the stop ids."""
        logits = _finished(nn.functional.linear(hidden.float(), self._weight, self._bias), self._config)
        return torch.cat([logits, logits[..., self._stops].logsumexp(-1, keepdim=True)], dim=-1)


class VocabularyHead:
    """A model's whole output matrix. `size` is V, the vocabulary with its padding. `trains`: gradients reach the
    matrix."""

    def __init__(self, model: Any, *, trains: bool = False) -> None:
        self._head, self._config, self._trains = model.get_output_embeddings(), model.config, trains
        self.size = len(self._head.weight)

    def __call__(self, hidden: Tensor) -> Tensor:
        """Hidden states [..., D] after the final norm to float32 [..., V]: the model's own logits."""
        # Read at each call: a sharded matrix is whole only inside the model's forward pass.
        weight, bias = self._head.weight, getattr(self._head, "bias", None)
        if not self._trains:
            weight, bias = weight.detach(), None if bias is None else bias.detach()
        return _finished(nn.functional.linear(hidden, weight, bias).float(), self._config)


def _finished(logits: Tensor, config: Any) -> Tensor:
    """Applies what some architectures do to logits after the output matrix (Cohere, Granite, Gemma)."""
    if scale := getattr(config, "logit_scale", None):
        logits = logits * scale
    if scaling := getattr(config, "logits_scaling", None):
        logits = logits / scaling
    if cap := getattr(config, "final_logit_softcapping", None):
        logits = torch.tanh(logits / cap) * cap
    return logits
