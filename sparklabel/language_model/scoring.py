"""Scores the options of a label trie after each row.

In: token ids of rows after a shared prefix, and a trie. Out: float32 logits of its options.

A whole trie is evaluated after each row in the same forward pass. Of a large trie most tokens tell nothing: the model
is all but sure of the first token. So the rows may go first, with their keys kept, and then, packed over rows, only the
branches below those first tokens that are probable.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparklabel.label_trie import PROMPT, LabelTrie
from sparklabel.language_model.attention import prefix as attention
from sparklabel.language_model.attention.kv_cache import RaggedKVCache
from sparklabel.language_model.model import LanguageModel, SharedPrefix
from sparklabel.language_model.output_heads import OptionHead
from sparklabel.language_model.token_tree import Branch, TokenTree, branches

_MIN_TREE_TOKENS = 6
"""Pruning a smaller tree saves less than a second forward pass costs (benchmarks/LOG.md)."""


def option_scorer(
    model: LanguageModel, prefix: SharedPrefix, trie: LabelTrie, pruned_mass: float = 0.0
) -> "OptionScorer":
    """Makes what scores the O options of a label trie for any number of rows.

    Args:
        model: the language model.
        prefix: the encoded beginning that all prompts share.
        trie: the labels' tokens.
        pruned_mass: how much of a row's probability may be left uncomputed, over all labels together. It is capped at
            half of an equal share, so that the most probable label is always computed.
    """
    if pruned_mass > 0 and len(trie.tree_tokens) >= _MIN_TREE_TOKENS and (divided := branches(trie)):
        return _ProbableBranches(model, prefix, trie, divided, min(pruned_mass, 0.5 / len(trie.paths)))
    return _WholeTree(model, prefix, trie)


class OptionScorer(ABC):
    """Scores rows with the weights that are active when it is made and called. `extra`: the tokens that a row takes
    beside its own."""

    extra: int

    def __init__(self, model: LanguageModel, prefix: SharedPrefix, trie: LabelTrie) -> None:
        self.model, self.prefix, self.trie = model, prefix, trie
        self.head = OptionHead(model.model, model.tokenizer.stop_ids, trie.option_tokens)
        self.columns = np.array([self.head.column[token] for token in trie.option_tokens], dtype=np.int64)

    def logits(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """The options' logits [N, O] for N rows of token ids after the prefix, at least one a row. They are up to a
        constant at each branching node; -inf at nodes that were not computed.

        Raises:
            MemoryError, RuntimeError: as torch raises them, if memory does not even hold a single row.
        """
        out = np.full((len(rows), len(self.columns)), -np.inf, dtype=np.float32)
        if not len(self.columns):
            return out

        def score(batch: list[int]) -> None:
            out[batch] = self._batch([rows[i] for i in batch])

        with torch.inference_mode(), attention.after_prefix(self.prefix.layers), self.model.own_attention():
            self.model.in_batches([len(row) for row in rows], self.extra, score)
        return out

    @abstractmethod
    def _batch(self, rows: list[Sequence[int]]) -> NDArray[np.float32]:
        """[B, O] for rows that fit into one forward pass."""

    def _read(self, hidden: Tensor) -> NDArray[np.float32]:
        """The columns of the head, for states [..., D]."""
        found: NDArray[np.float32] = self.head(hidden).cpu().numpy()
        return found


class _WholeTree(OptionScorer):
    """Evaluates the whole tree after each row."""

    def __init__(self, model: LanguageModel, prefix: SharedPrefix, trie: LabelTrie) -> None:
        super().__init__(model, prefix, trie)
        self.tree = TokenTree.of(trie, model.device)
        self.extra = len(trie.tree_tokens)

    def _batch(self, rows: list[Sequence[int]]) -> NDArray[np.float32]:
        hidden, ends = self.model.forward_with_tree(rows, len(self.prefix.ids), self.tree)
        # The prompt's last token is position 0.
        positions = np.array(self.trie.option_positions) + 1
        return self._read(self.tree.positions(hidden, ends))[:, positions, self.columns]


class _ProbableBranches(OptionScorer):
    """Evaluates each row, and then those branches of the tree without which at most `pruned_mass` of its probability
    is missing."""

    extra = 0

    def __init__(
        self,
        model: LanguageModel,
        prefix: SharedPrefix,
        trie: LabelTrie,
        divided: Sequence[Branch],
        pruned_mass: float,
    ) -> None:
        super().__init__(model, prefix, trie)
        self._divided, self._pruned_mass = divided, pruned_mass
        self._first = np.flatnonzero(np.array(trie.option_positions) == PROMPT)
        self._branching = np.array([branch.option for branch in divided])

    def _batch(self, rows: list[Sequence[int]]) -> NDArray[np.float32]:
        cache = RaggedKVCache(self.model.device, self.model.model.dtype)
        out = np.full((len(rows), len(self.columns)), -np.inf, dtype=np.float32)
        last = np.cumsum([len(row) for row in rows]) - 1
        first = self._read(self._hidden(cache, 0, rows)[torch.from_numpy(last).to(self.model.device)])
        out[:, self._first] = first[:, self.columns[self._first]]
        wanted = [self._probable(logits) for logits in out]
        sizes = [sum(len(branch.tokens) for branch in own) for own in wanted]
        for part in _parts(sizes, self.model.batch_tokens):
            self._branches(cache, part, wanted[part], out)
        return out

    def _branches(
        self, cache: RaggedKVCache, part: slice, wanted: Sequence[list[Branch]], out: NDArray[np.float32]
    ) -> None:
        """Evaluates the branches that some rows in a row of the batch want, and puts their logits into `out`."""
        tokens = [[token for branch in own for token in branch.tokens] for own in wanted]
        sees = [_block_diagonal([branch.sees for branch in own]) for own in wanted]
        found, start = self._read(self._hidden(cache, part.start, tokens, sees)), 0
        for row, own in enumerate(wanted, part.start):
            for branch in own:
                out[row, branch.options] = found[start + branch.read_at, self.columns[branch.options]]
                start += len(branch.tokens)

    def _hidden(
        self,
        cache: RaggedKVCache,
        first: int,
        tokens: Sequence[Sequence[int]],
        sees: Sequence[NDArray[np.bool_]] | None = None,
    ) -> Tensor:
        """The states [M, D] of M new tokens of the rows from `first` on."""
        ids, positions = cache.begin(first, tokens, sees)
        with attention.continuing(cache):
            hidden = self.model.hidden(ids, position_ids=positions + len(self.prefix.ids))[0]
        cache.commit()
        return hidden

    def _probable(self, logits: NDArray[np.float32]) -> list[Branch]:
        """The branches that a row needs, by the logits [O] of its first tokens."""
        first = logits.astype(np.float64) - logits[self._first].max()
        mass = np.exp(first[self._branching]) / np.exp(first[self._first]).sum()
        order = np.argsort(mass, kind="stable")
        # Where scores are not numbers, no comparison is true, and all branches are kept.
        kept = order[~(np.cumsum(mass[order]) <= self._pruned_mass)]
        return [self._divided[number] for number in kept]


def _parts(sizes: Sequence[int], most: int) -> Iterator[slice]:
    """Divides rows of these sizes into consecutive parts, each of at most `most` tokens if all its rows are padded to
    the longest, or one row. Parts without any tokens are left out."""
    start = longest = 0
    for row, size in enumerate(sizes):
        if row > start and max(longest, size) * (row + 1 - start) > most:
            if longest:
                yield slice(start, row)
            start, longest = row, 0
        longest = max(longest, size)
    if longest:
        yield slice(start, len(sizes))


def _block_diagonal(blocks: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    ends = np.cumsum([len(block) for block in blocks], dtype=np.int64)
    whole = np.zeros((sum(map(len, blocks)),) * 2, dtype=bool)
    for end, block in zip(ends, blocks, strict=True):
        whole[end - len(block) : end, end - len(block) : end] = block
    return whole
