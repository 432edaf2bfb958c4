"""Scores the options of a label trie after each row.

In: token ids of rows after a shared prefix, and a trie. Out: float32 logits of its options.

A whole trie is evaluated after each row in the same forward pass. Of a large trie most tokens tell nothing: the model
is all but sure of the first token. So the rows may go first, with their keys kept, and then, packed over rows, only the
branches below those first tokens that are probable.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparklabel.label_trie import PROMPT, Branch, LabelTrie
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
        _ProbableBranches(model, prefix, trie, pruned_mass)
        if pruned_mass > 0 and is_large and trie.branches
        else _WholeTree(model, prefix, trie)
    )
    out = np.full((len(rows), len(trie.option_tokens)), -np.inf, dtype=np.float32)

    def score(batch: list[int]) -> None:
        out[batch] = scorer.logits([rows[i] for i in batch])

    with torch.inference_mode(), attention.after_prefix(prefix.layers), model.own_attention():
        model.in_batches([len(row) for row in rows], scorer.extra, score)
    return out


class _Scorer(ABC):
    """Scores batches of rows. `extra`: the tokens that a row takes beside its own."""

    extra: int

    def __init__(self, model: LanguageModel, prefix: SharedPrefix, trie: LabelTrie) -> None:
        self.model, self.start, self.trie = model, len(prefix.ids), trie
        self.head = OptionHead(model.model, model.tokenizer.stop_ids, trie.option_tokens)
        self.columns = np.array([self.head.column[token] for token in trie.option_tokens])

    @abstractmethod
    def logits(self, rows: list[Sequence[int]]) -> NDArray[np.float32]:
        """[B, O]."""

    def read(self, hidden: Tensor) -> NDArray[np.float32]:
        """The columns of the head, for states [..., D]."""
        found: NDArray[np.float32] = self.head(hidden).cpu().numpy()
        return found


class _WholeTree(_Scorer):
    """Evaluates the whole tree after each row."""

    def __init__(self, model: LanguageModel, prefix: SharedPrefix, trie: LabelTrie) -> None:
        super().__init__(model, prefix, trie)
        self.tree = TokenTree.of(trie, model.device)
        self.extra = len(trie.tree_tokens)

    def logits(self, rows: list[Sequence[int]]) -> NDArray[np.float32]:
        hidden, ends = self.model.forward_with_tree(rows, self.start, self.tree)
        # The prompt's last token is position 0.
        positions = np.array(self.trie.option_positions) + 1
        return self.read(self.tree.positions(hidden, ends))[:, positions, self.columns]


class _ProbableBranches(_Scorer):
    """Evaluates each row, and then those branches of the tree without which at most `most` of its probability is
    missing."""

    extra = 0

    def __init__(self, model: LanguageModel, prefix: SharedPrefix, trie: LabelTrie, most: float) -> None:
        super().__init__(model, prefix, trie)
        self._most = min(most, 0.5 / len(trie.paths))
        self._first = np.flatnonzero(np.array(trie.option_positions) == PROMPT)
        self._begin = np.array([branch.option for branch in trie.branches])

    def logits(self, rows: list[Sequence[int]]) -> NDArray[np.float32]:
        cache = RaggedKVCache(self.model.device, self.model.model.dtype)
        out = np.full((len(rows), len(self.columns)), -np.inf, dtype=np.float32)
        last = np.cumsum([len(row) for row in rows]) - 1
        first = self.read(self._hidden(cache, rows)[torch.from_numpy(last).to(self.model.device)])
        out[:, self._first] = first[:, self.columns[self._first]]
        wanted = [self._probable(logits) for logits in out]
        if not any(wanted):
            return out
        tokens = [[token for branch in branches for token in branch.tokens] for branches in wanted]
        sees = [_block_diagonal([branch.sees for branch in branches]) for branches in wanted]
        found, start = self.read(self._hidden(cache, tokens, sees)), 0
        for row, branches in enumerate(wanted):
            for branch in branches:
                out[row, branch.options] = found[start + branch.read_at, self.columns[branch.options]]
                start += len(branch.tokens)
        return out

    def _hidden(
        self,
        cache: RaggedKVCache,
        tokens: Sequence[Sequence[int]],
        sees: Sequence[NDArray[np.bool_]] | None = None,
    ) -> Tensor:
        """The states [M, D] of M new tokens of the rows."""
        ids, positions = cache.begin(0, tokens, sees)
        with attention.continuing(cache):
            hidden = self.model.hidden(ids, position_ids=positions + self.start)[0]
        cache.commit()
        return hidden

    def _probable(self, logits: NDArray[np.float32]) -> list[Branch]:
        """The branches that a row needs, by the logits [O] of its first tokens."""
        first = logits.astype(np.float64) - logits[self._first].max()
        mass = np.exp(first[self._begin]) / np.exp(first[self._first]).sum()
        order = np.argsort(mass, kind="stable")
        kept = order[~(np.cumsum(mass[order]) <= self._most)]  # all where the scores are not numbers
        return [self.trie.branches[number] for number in kept]


def _block_diagonal(blocks: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    ends = np.cumsum([len(block) for block in blocks], dtype=np.int64)
    whole = np.zeros((sum(map(len, blocks)),) * 2, dtype=bool)
    for end, block in zip(ends, blocks, strict=True):
        whole[end - len(block) : end, end - len(block) : end] = block
    return whole
