"""Attention by torch's flash kernel for CPUs, after a prefix that all rows share.

In: queries, keys and values of the rows, a mask, the prefix's keys and values. Out: what each token mixes. It has no
gradients.

The heads that share a key are folded into one long query, so that no key is repeated. The kernel is up to three times
slower unless the number of keys is a multiple of its vector length (benchmarks/LOG.md), so keys are padded to one, or
some are taken from the prefix's end.
"""

import torch
from torch import Tensor, nn

_VECTOR, _MIN_KEYS = 16, 64
_LONG_PREFIX = 128
"""From this many tokens on, merging two parts costs less than copying the prefix into every row (benchmarks/LOG.md)."""


def flash_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, prefix: tuple[Tensor, Tensor], scaling: float
) -> Tensor:
    """Attention over the rows' own keys and over a prefix that every query sees.

    Args:
        query: [B, H, S, d].
        key: [B, G, K, d].
        value: [B, G, K, d].
        mask: additive, [B or 1, 1, S, K].
        prefix: its key and value, [G, P, d] each.
        scaling: of the scores.

    Returns:
        [B, S, H, d].
    """
    batch, heads, length, size = query.shape
    groups, shared = key.shape[1], prefix[0].shape[1]
    folded = query.reshape(batch, groups, heads // groups * length, size)
    apart = shared - shared % _VECTOR if shared >= _LONG_PREFIX else 0
    mixed, sums = _to_own(folded, key, value, mask, [part[:, apart:] for part in prefix], scaling)
    if apart:
        before = _to_prefix(folded, [part[:, :apart] for part in prefix], scaling)
        mixed = _merged((mixed, sums), before)
    return mixed.view(batch, heads, length, size).transpose(1, 2)


def _to_own(
    folded: Tensor, key: Tensor, value: Tensor, mask: Tensor, before: list[Tensor], scaling: float
) -> tuple[Tensor, Tensor]:
    """Attention to a copy of `before` (key and value [G, P, d]) and each row's own keys."""
    copied, own = before[0].shape[1], key.shape[2]
    filling = max(_MIN_KEYS, -(-(copied + own) // _VECTOR) * _VECTOR) - copied - own
    key, value = (_joined(part, new, filling) for part, new in zip(before, (key, value), strict=True))
    mask = nn.functional.pad(nn.functional.pad(mask, (copied, 0)), (0, filling), value=float("-inf"))
    return _kernel(folded, key, value, scaling, mask.repeat(1, 1, folded.shape[2] // mask.shape[2], 1))


def _joined(before: Tensor, own: Tensor, filling: int) -> Tensor:
    batch, groups, _, size = own.shape
    return torch.cat(
        [before.expand(batch, -1, -1, -1), own, own.new_zeros(batch, groups, filling, size)], dim=2
    )


def _to_prefix(folded: Tensor, prefix: list[Tensor], scaling: float) -> tuple[Tensor, Tensor]:
    """Attention to the prefix, with all rows' queries as one long sequence: it is the same for each of them."""
    batch, groups, queries, size = folded.shape
    flat = folded.transpose(0, 1).reshape(1, groups, batch * queries, size)
    mixed, sums = _kernel(flat, prefix[0][None], prefix[1][None], scaling)
    return (
        mixed.view(groups, batch, queries, size).transpose(0, 1),
        sums.view(groups, batch, queries).transpose(0, 1),
    )


def _merged(own: tuple[Tensor, Tensor], before: tuple[Tensor, Tensor]) -> Tensor:
    """Two parts of one softmax, weighed by the sums of their exponentials (Dao et al. 2022, FlashAttention, 3.1)."""
    weight = torch.sigmoid(before[1] - own[1])[..., None].to(own[0].dtype)
    return own[0].lerp(before[0], weight)


def _kernel(
    query: Tensor, key: Tensor, value: Tensor, scaling: float, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """What is mixed, and the logsumexp of each query's scores, which torch's public function does not return."""
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    mixed, sums = kernel(query, key, value, attn_mask=mask, scale=scaling)
    return mixed, sums
