"""Keys and values of many rows of different lengths, each extended at its own end.

In: new tokens of some rows, then their keys and values layer by layer. Out: what attention needs of those rows. The
shared prefix is not in here, and which rows are cached is decided elsewhere.

Tokens of several rows go through the model packed, one row after another without padding; only attention sees them
as a rectangle. Rows in use fill the first slots, so a step needs a view of the buffers and never a copy. Columns after
a row's end are stale and hidden by the mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_WIDTH_STEP = 64
"""Buffers grow by this many tokens a row at once, since growing copies them."""


def cache_tokens(rows: int, width: int) -> int:
    """Tokens that buffers for `rows` rows of up to `width` tokens hold: a rectangle, rounded up."""
    return rows * -(-width // _WIDTH_STEP) * _WIDTH_STEP


@dataclass(frozen=True, slots=True)
class _Packing:
    """N new tokens of the rows from slot `first` on, which have `starts` tokens before and `ends` tokens after them.

    Token n is at `positions[n]` of row `rows[n]` in a rectangle of `longest` tokens a row, and is cached at
    `columns[n]`. `mask` is additive [B, 1, longest, width].
    """

    first: int
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    rows: Tensor
    positions: Tensor
    columns: Tensor
    mask: Tensor

    @property
    def slots(self) -> slice:
        return slice(self.first, self.first + len(self.ends))

    @property
    def longest(self) -> int:
        return self.mask.shape[2]

    @property
    def width(self) -> int:
        return self.mask.shape[3]


class RaggedKVCache:
    """Buffers [slots, kv heads, width, head size] by layer. `lengths[s]` is how many tokens of slot s are cached."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.lengths: list[int] = []
        self._device, self._dtype = device, dtype
        self._layers: dict[int, tuple[Tensor, ...]] = {}
        self._now: _Packing | None = None

    def begin(
        self,
        first: int,
        tokens: Sequence[Sequence[int]],
        sees: Sequence[NDArray[np.bool_]] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Announces the tokens of the next forward pass.

        Args:
            first: the slot of the first row; slots after the last one in use are new rows.
            tokens: the new tokens of each row from `first` on.
            sees: for each row, which of its K new tokens each of them sees [K, K], itself included, besides all that
                are cached; by default those up to itself.

        Returns:
            Token ids and their positions in the row's text, [1, N] each.
        """
        starts = [self.lengths[s] if s < len(self.lengths) else 0 for s in range(first, first + len(tokens))]
        counts = np.array([len(new) for new in tokens], dtype=np.int64)
        ends = (starts + counts).tolist()
        of_row = np.repeat(np.arange(len(tokens)), counts)
        within = np.arange(len(of_row)) - np.repeat(np.cumsum(counts) - counts, counts)
        new = np.fromiter(chain.from_iterable(tokens), dtype=np.int64, count=len(of_row))
        packed = np.stack([of_row, within, within + np.repeat(starts, counts), new])
        rows, positions, columns, ids = torch.from_numpy(packed).to(self._device)
        longest, width, depths = int(counts.max()), max(ends), columns
        if sees is None:
            mask = self._mask(starts, longest, width)
        else:
            mask = self._tree_mask(starts, sees, longest, width)
            after = [seen for row in sees for seen in row.sum(1) - 1]
            depths = columns - positions + torch.tensor(after, device=self._device)
        self._now = _Packing(first, tuple(starts), tuple(ends), rows, positions, columns, mask)
        return ids[None], depths[None]

    def commit(self) -> None:
        """Counts the announced tokens as cached, after the forward pass."""
        self.lengths[self.now.slots] = self.now.ends

    def remove(self, slot: int) -> None:
        """Frees a slot; the row of the last slot moves there."""
        last = len(self.lengths) - 1
        if slot != last:
            self._move(last, slot)
        self.lengths.pop()

    def _move(self, source: int, target: int) -> None:
        self.lengths[target] = self.lengths[source]
        for buffers in self._layers.values():
            for buffer in buffers:
                buffer[target] = buffer[source]

    @property
    def now(self) -> _Packing:
        """The tokens announced last."""
        assert self._now is not None
        return self._now

    def _mask(self, starts: Sequence[int], longest: int, width: int) -> Tensor:
        """Lets a token see its row up to itself."""
        last = torch.tensor(starts, device=self._device)[:, None] + torch.arange(longest, device=self._device)
        return self._additive(torch.arange(width, device=self._device) > last[..., None])

    def _tree_mask(
        self, starts: Sequence[int], sees: Sequence[NDArray[np.bool_]], longest: int, width: int
    ) -> Tensor:
        """Lets a new token see what is cached of its row, and these of the new ones."""
        hidden = np.ones((len(starts), longest, width), dtype=bool)
        for row, (start, own) in enumerate(zip(starts, sees, strict=True)):
            hidden[row, :, :start] = False  # also of what fills the rectangle, which nobody reads
            hidden[row, : len(own), start : start + len(own)] = ~own
        return self._additive(torch.from_numpy(hidden).to(self._device))

    def _additive(self, hidden: Tensor) -> Tensor:
        mask = torch.zeros(hidden.shape, dtype=self._dtype, device=self._device)
        return mask.masked_fill_(hidden, float("-inf"))[:, None]

    def update(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Caches the packed tokens of one layer.

        Args:
            layer: its number.
            query: [1, H, N, d].
            key: [1, G, N, d].
            value: [1, G, N, d].

        Returns:
            The queries as a rectangle [B, H, longest, d], and the rows' keys and values [B, G, width, d].
        """
        now = self.now
        kept = self._layers[layer] = self._reserved(self._layers.get(layer), (key, value))
        views = []
        for buffer, new in zip(kept, (key, value), strict=True):
            if not any(now.starts):
                # Hidden tokens have weight 0, but 0 times the NaN that a broken row left here is NaN.
                buffer[now.slots] = 0
            buffer[now.first + now.rows, :, now.columns] = new[0].transpose(0, 1)
            views.append(buffer[now.slots, :, : now.width])
        return self._rectangle(query[0].transpose(0, 1)), views[0], views[1]

    def packed(self, mixed: Tensor) -> Tensor:
        """[B, longest, H, d] to [1, N, H, d]."""
        return mixed[self.now.rows, self.now.positions][None]

    def _rectangle(self, tokens: Tensor) -> Tensor:
        """[N, H, d] to [B, H, longest, d]."""
        now = self.now
        if now.longest == 1:
            return tokens[:, :, None]
        wide = tokens.new_zeros(len(now.ends), now.longest, *tokens.shape[1:])
        wide[now.rows, now.positions] = tokens
        return wide.transpose(1, 2)

    def _reserved(self, kept: tuple[Tensor, ...] | None, new: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
        """Buffers with room for the announced tokens: those there are, if they have it."""
        now, held = self.now, len(self.lengths)
        if kept and kept[0].shape[0] >= now.slots.stop and kept[0].shape[2] >= now.width:
            return kept
        slots = max(now.slots.stop, held)
        # Slots may be added after the long rows have left, so the width is what is needed now, not what it was.
        width = cache_tokens(1, max(now.width, *self.lengths, 1))
        grown = []
        for number, like in enumerate(new):
            buffer = like.new_zeros(slots, like.shape[1], width, like.shape[3])
            if kept:
                used = min(width, kept[number].shape[2])
                buffer[:held, :, :used] = kept[number][:held, :, :used]
            grown.append(buffer)
        return tuple(grown)
