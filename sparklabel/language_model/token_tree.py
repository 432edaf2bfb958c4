"""A label trie as a model evaluates it after each row: the whole of it, or only some of its branches.

In: a label trie. Out: tokens, depths and masks, and the states that options are read from. It runs no model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparklabel.label_trie import PROMPT, LabelTrie, TokenPath
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
        sees = torch.from_numpy(_ancestry(parents)).to(device)
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


class Branch(NamedTuple):
    """The K tree tokens that lead on from one of the labels' first tokens, parents first.

    `option`: the first token, as an option. `sees` [K, K]: whether a token attends to another: its ancestors and
    itself. `options` [M]: those that are read in here, and `read_at` [M] after which of the K tokens.
    """

    option: int
    tokens: TokenPath
    sees: NDArray[np.bool_]
    options: NDArray[np.int64]
    read_at: NDArray[np.int64]


def branches(trie: LabelTrie) -> tuple[Branch, ...]:
    """The tree, divided by its first tokens. Empty unless the prompt's last token is followed by one branching: the
    first tokens of all labels, which are one group."""
    first = [option for option, position in enumerate(trie.option_positions) if position == PROMPT]
    if len({trie.option_branches[option] for option in first}) != 1:
        return ()
    nodes: dict[int, list[int]] = {}
    roots: list[int] = []
    for node, parent in enumerate(trie.tree_parents):
        roots.append(node if parent == PROMPT else roots[parent])
        nodes.setdefault(roots[node], []).append(node)
    options: dict[int, list[int]] = {root: [] for root in nodes}
    for option, position in enumerate(trie.option_positions):
        if position != PROMPT:
            options[roots[position]].append(option)
    first_options = {trie.option_tokens[option]: option for option in first}
    return tuple(
        _branch(trie, first_options[trie.tree_tokens[root]], nodes[root], options[root]) for root in nodes
    )


def _branch(trie: LabelTrie, option: int, nodes: Sequence[int], options: Sequence[int]) -> Branch:
    place = {node: number for number, node in enumerate(nodes)} | {PROMPT: PROMPT}
    return Branch(
        option,
        tuple(trie.tree_tokens[node] for node in nodes),
        _ancestry([place[trie.tree_parents[node]] for node in nodes]),
        np.array(options, dtype=np.int64),
        np.array([place[trie.option_positions[one]] for one in options], dtype=np.int64),
    )


def _ancestry(parents: Sequence[int]) -> NDArray[np.bool_]:
    """[T, T]: whether a node sees another: its ancestors and itself. Parents come first; a root's is PROMPT."""
    sees = np.eye(len(parents), dtype=bool)
    for node, parent in enumerate(parents):
        if parent != PROMPT:
            sees[node] |= sees[parent]
    return sees
