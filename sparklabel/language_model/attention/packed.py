"""Causal attention in packs: each piece attends to itself, as if it were alone.

In: a layer's queries, keys and values of pieces that lie one behind the other. Out: what each token mixes, with
gradients. Registered with transformers as "sparklabel_packed". The forward pass gets `pieces=`, which transformers
hands on to each layer, also where a layer is computed again for its gradients; and positions that begin anew in each
piece.

On GPUs torch's kernel for sequences of varying lengths computes it. On CPUs pieces of similar lengths are put side by
side, since torch has none there; their padding is behind them, where no token looks. What is computed with has few
shapes, since oneDNN compiles a product for each shape and keeps it, and blocks of ever new sizes leave gaps in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from sparklabel.errors import ModelError
from sparklabel.language_model.attention.prefix import causal_attention
from sparklabel.language_model.batches import length_sorted_batches

NAME = "sparklabel_packed"
_TOKENS_AT_ONCE = 2048
_LENGTHS = 32
"""Lengths of groups are multiples of it."""
_FILLED = 256
"""On a CPU the tokens of packs are filled up to a multiple of it, few tokens by an eighth at most."""


@dataclass(frozen=True, slots=True)
class PieceGroup:
    """Pieces of similar lengths. `places` [N, L]: of each token its place in the packs; elsewhere any place.
    `is_token` [N, L]: whether it is one of the piece's."""

    places: Tensor
    is_token: Tensor


@dataclass(frozen=True)
class Pieces:
    """Where the pieces of some packs are, one pack behind the other. `filling`: how many of the T tokens are to be put
    behind them, which mean nothing. `positions` [1, T]: of each token in its piece. `bounds` [P + 1]: where pieces
    begin, and the end. `longest`: the longest piece."""

    filling: int

    positions: Tensor
    bounds: Tensor
    longest: int
    groups: tuple[PieceGroup, ...]
    back: Tensor
    """[T]: of each token its place among the groups' tokens, in their order; of filling any place."""

    @classmethod
    def of(cls, lengths: Sequence[int], device: torch.device) -> "Pieces":
        """Pieces with these lengths."""
        bounds = np.concatenate([[0], np.cumsum(lengths)])
        positions = np.concatenate([np.arange(length) for length in lengths])
        filling, groups, back = 0, list[PieceGroup](), torch.empty(0, dtype=torch.long)
        if device.type == "cpu":
            sizes = [_rounded_up(length, _LENGTHS) for length in lengths]
            batches = length_sorted_batches(sizes, 0, _TOKENS_AT_ONCE)
            groups = [_group(bounds, batch, sizes[batch[0]]) for batch in batches]
            filling = _filling(len(positions))
            order = torch.cat([group.places[group.is_token] for group in groups])
            back = nn.functional.pad(torch.argsort(order), (0, filling))
        return cls(
            filling, torch.from_numpy(np.pad(positions, (0, filling)))[None].to(device),
            torch.from_numpy(bounds).to(device, torch.int32), max(lengths), tuple(groups), back,
        )  # fmt: skip


def _rounded_up(number: int, unit: int) -> int:
    """The next multiple of `unit`."""
    return number + -number % unit


def _filling(tokens: int) -> int:
    eighth = 1 << max(0, tokens.bit_length() - 4)
    return -tokens % min(_FILLED, max(_LENGTHS, eighth))


def _group(bounds: np.ndarray, pieces: Sequence[int], size: int) -> PieceGroup:
    """`size`: of the longest piece, rounded up. Rows without a token bring their number to 1, 2, 3, 4, 6, 8, 12, ..."""
    count = len(pieces)
    extra = _rounded_up(count, 1 << max(0, count.bit_length() - 2)) - count
    begins, lengths = (np.append(part[pieces], np.zeros(extra, int)) for part in (bounds, np.diff(bounds)))
    offsets = np.arange(size)
    is_token = offsets < lengths[:, None]
    places = begins[:, None] + np.where(is_token, offsets, 0)
    return PieceGroup(torch.from_numpy(places), torch.from_numpy(is_token))


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    sliding_window: int | None = None,
    s_aux: Tensor | None = None,
    pieces: Pieces | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """The attention function that transformers calls in each layer: query [1, H, T, d], key and value [1, G, T, d] to
    [1, T, H, d]. Raises ModelError for architectures that need more than causal attention."""
    if pieces is None:
        raise ModelError(f"{type(module).__name__} does not tell its attention what was given to the model.")
    if s_aux is not None or softcap or (sliding_window and pieces.longest > sliding_window):
        raise ModelError(
            f"{type(module).__name__} needs sliding windows, attention sinks or soft caps, which packs do not support."
        )
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    if query.device.type != "cpu":
        return _on_gpu(query, key, value, pieces, scaling), None
    mixed = [_in_group(group, query[0], key[0], value[0], scaling) for group in pieces.groups]
    return torch.cat(mixed)[pieces.back][None], None


def _on_gpu(query: Tensor, key: Tensor, value: Tensor, pieces: Pieces, scaling: float) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    rows = (part[0].transpose(0, 1).contiguous() for part in (query, key, value))
    bounds, longest, is_grouped = pieces.bounds, pieces.longest, query.shape[1] != key.shape[1]
    # All of the tokens to the left and none of those to the right: that is causal.
    mixed: Any = varlen_attn(
        *rows, bounds, bounds, longest, longest, scale=scaling, window_size=(-1, 0), enable_gqa=is_grouped
    )
    return mixed[None]


def _in_group(group: PieceGroup, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
    """[H, T, d] and [G, T, d] twice to the group's tokens [M, H, d], piece by piece."""
    queries, keys, values = (part[:, group.places].transpose(0, 1) for part in (query, key, value))
    return causal_attention(queries, keys, values, scaling)[group.is_token]


AttentionInterface.register(NAME, _attention)
