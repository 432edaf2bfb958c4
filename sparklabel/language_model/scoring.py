"""Scores the options of a label trie after each row.

In: token ids of rows after a shared prefix, and a trie. Out: float32 logits of its options.

A whole trie is evaluated after each row in the same forward pass. Of a large trie most tokens tell nothing: the model
is all but sure of the first token. So the rows may go first, with their keys kept, and then, packed over rows, only the
branches below those first tokens that are probable.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparklabel.label_trie import PROMPT, LabelTrie
from sparklabel.language_model.attention import prefix as attention
from sparklabel.language_model.attention.kv_cache import RaggedKVCache
from sparklabel.language_model.model import LanguageModel, SharedPrefix
from sparklabel.language_model.output_heads import OptionHead
from sparklabel.language_model.token_tree import TokenTree

_FEWEST_TOKENS = 6
"""Of a tree: a second forward pass costs more than so few tokens in the first (benchmarks/LOG.md)."""


def option_logits(
    model: LanguageModel,
    prefix: SharedPrefix,
    rows: Sequence[Sequence[int]],
    trie: LabelTrie,
    pruned_mass: float = 0.0,
) -> NDArray[np.float32]:
    """Scores the options of a label trie for each row.

    Args:
        model: the language model.
        prefix: the encoded beginning that all prompts share.
        rows: token ids after the prefix, at least one a row.
        trie: the labels' tokens, with O options.
        pruned_mass: the most probability, of all labels of a row together, that need not be computed. Of many labels at
            most half of an equal share: the most probable one is always computed.

    Returns:
        Logits [N, O] of N rows, up to a constant at each branching node; -inf at nodes that were not computed.

    Raises:
        MemoryError, RuntimeError: as torch raises them, if memory does not even hold a single row.
    """
    if not trie.option_tokens:
        return np.zeros((len(rows), 0), dtype=np.float32)
    is_large = len(trie.tree_tokens) >= _FEWEST_TOKENS
    scorer = (
        _PrunedScorer(model, prefix, trie, pruned_mass)
        if pruned_mass > 0 and is_large and trie.branches_once
        else _Scorer(model, prefix, trie)
    )
    out = np.full((len(rows), len(trie.option_tokens)), -np.inf, dtype=np.float32)

    def score(batch: list[int]) -> None:
        out[batch] = scorer.logits([rows[i] for i in batch])

    with torch.inference_mode(), attention.after_prefix(prefix.layers), model.own_attention():
        model.in_batches([len(row) for row in rows], scorer.extra, score)
    return out


class _Scorer:
    """Evaluates the whole tree after each row. `extra`: the tokens that a row takes beside its own."""

    def __init__(self, model: LanguageModel, prefix: SharedPrefix, trie: LabelTrie) -> None:
        self.model, self.start, self.trie = model, len(prefix.ids), trie
        self.tree = TokenTree.of(trie, model.device)
        self.head = OptionHead(model.model, model.tokenizer.stop_ids, trie.option_tokens)
        self.columns = np.array([self.head.column[token] for token in trie.option_tokens])
        self.extra = len(trie.tree_tokens)

    def logits(self, rows: list[Sequence[int]]) -> NDArray[np.float32]:
        """[B, O]."""
        hidden, ends = self.model.forward_with_tree(rows, self.start, self.tree)
        # The prompt's last token is position 0.
        positions = np.array(self.trie.option_positions) + 1
        return self._read(self.tree.positions(hidden, ends))[:, positions, self.columns]

    def _read(self, hidden: Tensor) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self.head(hidden).cpu().numpy()
        return found


class _PrunedScorer(_Scorer):
    """Evaluates each row, and then those branches of the tree without which at most `most` of its probability is
    missing."""

    def __init__(self, model: LanguageModel, prefix: SharedPrefix, trie: LabelTrie, most: float) -> None:
        super().__init__(model, prefix, trie)
        self.extra, self._most = 0, min(most, 0.5 / len(trie.paths))
        self._first = np.flatnonzero(np.array(trie.option_positions) == PROMPT)
        self._tokens, self._sees = np.array(trie.tree_tokens), self.tree.sees.cpu().numpy()
        roots = {token: n for n, token in enumerate(trie.tree_tokens) if trie.tree_parents[n] == PROMPT}
        self._branches = {
            place: np.flatnonzero(self._sees[:, roots[token]])
            for place, token in enumerate(trie.option_tokens[option] for option in self._first)
            if token in roots
        }
        self._read_at = [
            np.flatnonzero(np.array(trie.option_positions) == n) for n in range(len(self._tokens))
        ]

    def logits(self, rows: list[Sequence[int]]) -> NDArray[np.float32]:
        cache = RaggedKVCache(self.model.device, self.model.model.dtype)
        out = np.full((len(rows), len(self.columns)), -np.inf, dtype=np.float32)
        last = np.cumsum([len(row) for row in rows]) - 1
        first = self._read(self._hidden(cache, rows)[torch.from_numpy(last).to(self.model.device)])
        out[:, self._first] = first[:, self.columns[self._first]]
        nodes = [self._probable(logits) for logits in out[:, self._first]]
        if any(map(len, nodes)):
            found = self._read(self._hidden(cache, [self._tokens[n].tolist() for n in nodes], nodes))
            for row, (node, logits) in zip(
                np.repeat(np.arange(len(rows)), [len(n) for n in nodes]),
                zip(np.concatenate(nodes), found, strict=True),
                strict=True,
            ):
                read = self._read_at[node]
                out[row, read] = logits[self.columns[read]]
        return out

    def _hidden(
        self,
        cache: RaggedKVCache,
        tokens: Sequence[Sequence[int]],
        nodes: Sequence[NDArray[np.int64]] | None = None,
    ) -> Tensor:
        """The states [M, D] of M new tokens of the rows, which are those of the tree's `nodes` if they are given."""
        sees = None if nodes is None else [self._sees[np.ix_(n, n)] for n in nodes]
        ids, positions = cache.begin(0, tokens, sees)
        with attention.continuing(cache):
            hidden = self.model.hidden(ids, position_ids=positions + self.start)[0]
        cache.commit()
        return hidden

    def _probable(self, logits: NDArray[np.float32]) -> NDArray[np.int64]:
        """The tree's nodes that a row needs, parents first, by the logits of its first tokens."""
        mass = np.exp(logits.astype(np.float64) - logits.max())
        mass /= mass.sum()
        places = np.array(sorted(self._branches, key=lambda place: mass[place]))
        kept = places[~(np.cumsum(mass[places]) <= self._most)]  # nor where the scores are not numbers
        chosen = [self._branches[place] for place in kept]
        return np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, dtype=np.int64)
