"""A label trie as tensors, to be evaluated after each row in one forward pass.

In: a label trie. Out: tokens, depths and masks, and the states that options are read from. It runs no model.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sparklabel.label_trie import LabelTrie, ancestry
from sparklabel.language_model.attention.prefix import causal_mask


@dataclass(frozen=True, slots=True)
class TokenTree:
    """A trie's tokens as tensors. `sees[T, T]` is true if a node attends to another: its ancestors and itself."""

    tokens: Tensor
    depths: Tensor
    sees: Tensor

    @classmethod
    def of(cls, trie: LabelTrie | None, device: torch.device) -> "TokenTree":
        tokens, parents = (trie.tree_tokens, trie.tree_parents) if trie else ((), ())
        sees = torch.from_numpy(ancestry(parents)).to(device)
        return cls(torch.tensor(tokens, dtype=torch.long, device=device), sees.sum(1) - 1, sees)

    def positions(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """The hidden states that options are read from, of [B, S + T, D]: each row's last token, then the nodes."""
        at_end = hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1][:, None]
        return torch.cat([at_end, hidden[:, hidden.shape[1] - len(self.tokens) :]], dim=1)

    def mask(self, lengths: Tensor, longest: int, dtype: torch.dtype) -> Tensor:
        """Additive [B or 1, 1, S + T, S + T]: rows are causal; nodes see their row (not its padding) and ancestors."""
        nodes, device = len(self.tokens), self.tokens.device
        if not nodes:
            return causal_mask(longest, dtype, device)
        visible = torch.zeros(len(lengths), longest + nodes, longest + nodes, dtype=torch.bool, device=device)
        visible[:, :longest, :longest] = torch.ones(longest, longest, dtype=torch.bool, device=device).tril()
        visible[:, longest:, :longest] = torch.arange(longest, device=device) < lengths[:, None, None]
        visible[:, longest:, longest:] = self.sees
        return torch.zeros(visible.shape, dtype=dtype, device=device).masked_fill_(~visible, float("-inf"))[
            :, None
        ]
