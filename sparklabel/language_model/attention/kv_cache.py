"""Keys and values of many rows of different lengths, each written on at its own end.

Tokens of several rows go through the model packed, one row behind another without padding; only attention sees them
as a rectangle. Rows in use fill the first slots, so what a step needs is a view of the buffers and never a copy. What
lies behind a row's end in its slot is stale and hidden by the mask. The shared prefix is not in here (attention.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_WIDTH_STEP = 64
"""Buffers grow by this many tokens a row at once, since growing copies them."""


def cache_tokens(rows: int, width: int) -> int:
    """Tokens that buffers for `rows` rows of up to `width` tokens hold: a rectangle, rounded up."""
    return rows * -(-width // _WIDTH_STEP) * _WIDTH_STEP


@dataclass(frozen=True, slots=True)
class _Packing:
    """N tokens of several rows, from slot `first` on: those rows have `starts` tokens before and `ends` tokens after.
    Token n is at `positions[n]` of row `rows[n]` in a rectangle of `longest` tokens a row, kept at `columns[n]`.
    `mask` is additive [B, 1, longest, width]."""

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
    """Buffers [slots, kv heads, width, head size] by layer. `lengths[s]` is how many tokens of slot s are kept."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.lengths: list[int] = []
        self._device, self._dtype = device, dtype
        self._layers: dict[int, tuple[Tensor, ...]] = {}
        self._now: _Packing | None = None

    def begin(self, first: int, tokens: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Announces the tokens that the rows from slot `first` on get in the next forward pass; a slot behind the last
        one is a new row. Returns token ids and columns, [1, N] each."""
        starts = [self.lengths[s] if s < len(self.lengths) else 0 for s in range(first, first + len(tokens))]
        ends = [start + len(new) for start, new in zip(starts, tokens, strict=True)]
        packed = [
            (row, place, start + place, token)
            for row, (start, new) in enumerate(zip(starts, tokens, strict=True))
            for place, token in enumerate(new)
        ]
        rows, positions, columns, ids = torch.tensor(packed, device=self._device).T
        mask = self._mask(starts, max(map(len, tokens)), max(ends))
        self._now = _Packing(first, tuple(starts), tuple(ends), rows, positions, columns, mask)
        return ids[None], columns[None]

    def commit(self) -> None:
        """What was announced is kept: the forward pass is through."""
        self.lengths[self.now.slots] = self.now.ends

    def remove(self, slot: int) -> None:
        """Frees a slot: the row of the last one moves there."""
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
        """What was announced last."""
        assert self._now is not None
        return self._now

    def _mask(self, starts: Sequence[int], longest: int, width: int) -> Tensor:
        """A token sees its row up to itself."""
        last = torch.tensor(starts, device=self._device)[:, None] + torch.arange(longest, device=self._device)
        hidden = torch.arange(width, device=self._device) > last[..., None]
        mask = torch.zeros(hidden.shape, dtype=self._dtype, device=self._device)
        return mask.masked_fill_(hidden, float("-inf"))[:, None]

    def update(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Keeps the packed tokens' key and value [1, G, N, d], and gives the rectangle's query [B, H, longest, d] (of
        query [1, H, N, d]) with the rows' keys and values [B, G, width, d]."""
        now = self.now
        kept = self._layers[layer] = self._reserved(self._layers.get(layer), (key, value))
        views = []
        for buffer, new in zip(kept, (key, value), strict=True):
            if not any(now.starts):
                # Weights of hidden tokens are 0, but 0 times what a broken row left here may be no number.
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
        """Buffers with room for what comes; those there are where they have it."""
        now, held = self.now, len(self.lengths)
        if kept and kept[0].shape[0] >= now.slots.stop and kept[0].shape[2] >= now.width:
            return kept
        slots = max(now.slots.stop, held)
        # More slots may come when the long rows are gone: the width is what is needed now, not what it was.
        width = cache_tokens(1, max(now.width, *self.lengths, 1))
        grown = []
        for number, like in enumerate(new):
            buffer = like.new_zeros(slots, like.shape[1], width, like.shape[3])
            if kept:
                used = min(width, kept[number].shape[2])
                buffer[:held, :, :used] = kept[number][:held, :, :used]
            grown.append(buffer)
        return tuple(grown)
