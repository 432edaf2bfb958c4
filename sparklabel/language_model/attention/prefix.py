"""Attention for many short sequences after one shared prefix, and for training on CPUs.

In: a layer's queries, keys and values, and the prefix or cache that is set around the forward pass. Out: what each
token mixes. Sliding windows are not computed: every sequence must fit into the window.

Registered with transformers as "sparklabel", so every architecture that uses its attention interface gets it. The
prefix's keys and values are encoded once and multiplied once for the whole batch, instead of being copied into every
row. Grouped bmm + softmax also has a bfloat16 backward on CPUs that is several times faster than torch's own
(benchmarks/LOG.md). Queries are taken in blocks, so that a long row does not need a square matrix of scores. On CPUs
with AMX, and on others behind a long prefix, torch's kernel is faster and more exact: `flash_attention` computes what
needs no gradients.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface

from sparklabel.errors import ModelError
from sparklabel.language_model.attention.flash_cpu import flash_attention
from sparklabel.language_model.attention.kv_cache import RaggedKVCache

NAME = "sparklabel"
_QUERY_BLOCK = 256
_KERNEL_PREFIX = 64
"""Behind so many tokens torch's kernel is faster on every CPU: 1.05 times behind 100, 1.25 behind 382; 0.97 behind
none."""

LayerCache = dict[int, tuple[Tensor, Tensor]]
"""Keys and values of a prefix by layer: [kv heads, prefix tokens, head size] each."""

_prefix: ContextVar[LayerCache | None] = ContextVar("prefix", default=None)
_capture: ContextVar[LayerCache | None] = ContextVar("capture", default=None)
_rows: ContextVar[RaggedKVCache | None] = ContextVar("rows", default=None)


@contextmanager
def after_prefix(prefix: LayerCache) -> Iterator[None]:
    """Inside, every sequence attends to `prefix` and then to itself."""
    token = _prefix.set(prefix)
    try:
        yield
    finally:
        _prefix.reset(token)


@contextmanager
def capturing(into: LayerCache) -> Iterator[None]:
    """Inside, the keys and values of the one sequence are stored in `into`."""
    token = _capture.set(into)
    try:
        yield
    finally:
        _capture.reset(token)


@contextmanager
def continuing(rows: RaggedKVCache) -> Iterator[None]:
    """Inside, the model's one sequence is the packed tokens that `rows.begin` announced. Each row attends to its cached
    tokens, and its new ones are cached."""
    token = _rows.set(rows)
    try:
        yield
    finally:
        _rows.reset(token)


def _attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    sliding_window: int | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """The attention function that transformers calls in each layer.

    Args:
        module: the layer's attention, for its number.
        query: [B, H, S, d]. While rows are continued, B is 1 and S counts all their new tokens.
        key: [B, G, S, d].
        value: [B, G, S, d].
        attention_mask: additive [B or 1, 1, S, S]; None is causal.
        scaling: of the scores; None is d ** -0.5.
        softcap: bounds the scores by tanh, for architectures that do.
        sliding_window: how many tokens a layer looks back.
        s_aux: attention sinks, which are refused.

    Returns:
        [B, S, H, d], and None in place of the weights.

    Raises:
        ModelError: if a sequence is longer than the window, or the architecture has sinks.
    """
    layer = int(module.layer_idx)
    query, key = query.to(value.dtype), key.to(value.dtype)  # rotary embeddings may widen them
    if (capture := _capture.get()) is not None:
        capture[layer] = (key[0].contiguous(), value[0].contiguous())
    if (rows := _rows.get()) is not None:
        query, key, value = rows.update(layer, query, key, value)
        attention_mask = rows.now.mask
    prefix_key, prefix_value = (_prefix.get() or {}).get(layer, (key[0, :, :0], value[0, :, :0]))
    length, before = query.shape[2], max(rows.now.starts) if rows else 0
    if attention_mask is None:
        attention_mask = causal_mask(length, query.dtype, query.device)
    if s_aux is not None or _is_beyond(sliding_window, prefix_key.shape[1], attention_mask):
        raise ModelError(
            f"{type(module).__name__} needs sliding windows or attention sinks, which are not supported."
        )
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    if _has_fast_kernel(query, prefix_key.shape[1]) and not softcap:
        mixed = flash_attention(query, key, value, attention_mask, (prefix_key, prefix_value), scaling)
        return (rows.packed(mixed) if rows else mixed), None
    mixed = _in_blocks(query * scaling, key, value, attention_mask, prefix_key, prefix_value, softcap, before)
    return (rows.packed(mixed) if rows else mixed), None


def causal_attention(query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
    """Of sequences that share nothing, with gradients: [B, H, S, d] and [B, G, S, d] twice to [B, S, H, d]."""
    mask, none = causal_mask(query.shape[2], query.dtype, query.device), key[0, :, :0]
    return _in_blocks(query * scaling, key, value, mask, none, none, None, 0)


def _in_blocks(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, prefix_key: Tensor, prefix_value: Tensor,
    softcap: float | None, before: int,
) -> Tensor:  # fmt: skip
    """[B, S, H, d]. No token looks ahead (a tree's nodes come last), so a block of queries needs only the keys up to
    its end; `before` it are so many that were cached."""
    length = query.shape[2]
    spans = [(start, min(start + _QUERY_BLOCK, length)) for start in range(0, length, _QUERY_BLOCK)]
    blocks = [
        _block(query[:, :, start:end], key[:, :, :seen], value[:, :, :seen], mask[:, :, start:end, :seen],
               prefix_key, prefix_value, softcap)
        for start, end in spans
        for seen in [before + end]
    ]  # fmt: skip
    return blocks[0] if len(blocks) == 1 else torch.cat(blocks, dim=1)


def _has_fast_kernel(query: Tensor, shared: int) -> bool:
    """Whether torch's kernel is the faster one behind a prefix of `shared` tokens."""
    if query.device.type != "cpu" or torch.is_grad_enabled():
        return False
    if query.dtype is torch.bfloat16 and torch.cpu._is_amx_tile_supported():
        return True
    return shared >= _KERNEL_PREFIX and query.dtype in (torch.float32, torch.bfloat16)


def _block(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, prefix_key: Tensor, prefix_value: Tensor,
    softcap: float | None,
) -> Tensor:  # fmt: skip
    batch, heads, length, size = query.shape
    groups, own = key.shape[1], key.shape[2]
    shared, repeat = prefix_key.shape[1], heads // groups
    grouped = query.reshape(batch, groups, repeat * length, size)
    scores = torch.matmul(grouped, key.transpose(2, 3)).view(batch, groups, repeat, length, own)
    if softcap:
        scores = torch.tanh(scores / softcap) * softcap
    scores = (scores + mask[:, :, None]).view(batch, groups, repeat * length, own)
    if not shared:
        mixed = torch.matmul(scores.softmax(-1), value).view(batch, groups, repeat, length, size)
        return mixed.permute(0, 3, 1, 2, 4).reshape(batch, length, heads, size)
    # One matrix product a group for all rows: the prefix is the same for each of them.
    flat = grouped.transpose(0, 1).reshape(groups, batch * repeat * length, size)
    before = torch.bmm(flat, prefix_key.transpose(1, 2))
    if softcap:
        before = torch.tanh(before / softcap) * softcap
    before = before.view(groups, batch, repeat * length, shared).transpose(0, 1)
    weights = torch.cat([before, scores], dim=-1).softmax(-1)
    after = torch.matmul(weights[..., shared:], value).view(batch, groups, repeat, length, size)
    flat = weights[..., :shared].transpose(0, 1).reshape(groups, batch * repeat * length, shared)
    mixed = torch.bmm(flat, prefix_value).view(groups, batch, repeat, length, size)
    return (mixed.permute(1, 3, 0, 2, 4) + after.permute(0, 3, 1, 2, 4)).reshape(batch, length, heads, size)


def _is_beyond(window: int | None, shared: int, mask: Tensor) -> bool:
    """Whether a token would look back further than the window allows, over `shared` tokens and its own."""
    if not window or shared + mask.shape[-1] <= window:
        return False
    # A tree's branches share positions, so the distance is how many tokens a token sees, not how many there are.
    return shared + int((mask == 0).sum(-1).max()) > window


def causal_mask(length: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Additive [1, 1, length, length]: 0 where a token may look, -inf where it may not."""
    return torch.full((length, length), float("-inf"), dtype=dtype, device=device).triu(1)[None, None]


AttentionInterface.register(NAME, _attention)
