"""Attention for many short sequences behind one shared prefix, and for training on CPUs.

Registered with transformers as "sparklabel", so every architecture that uses its attention interface gets it. The
prefix's keys and values are encoded once and multiplied once for the whole batch, instead of being copied into every
row. Grouped bmm + softmax also has a bfloat16 backward on CPUs that is several times faster than torch's own
(benchmarks/LOG.md). Queries are taken in blocks, so that a long row does not need a square matrix of scores. Where a
CPU has AMX, torch's own kernel is faster than all this and more exact: it computes what needs no gradients. A sliding
window is not computed: every sequence must fit into it.
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

LayerCache = dict[int, tuple[Tensor, Tensor]]
"""Keys and values of a prefix by layer: [kv heads, prefix tokens, head size] each."""

_prefix: ContextVar[LayerCache | None] = ContextVar("prefix", default=None)
_capture: ContextVar[LayerCache | None] = ContextVar("capture", default=None)
_rows: ContextVar[RaggedKVCache | None] = ContextVar("rows", default=None)


@contextmanager
def behind(prefix: LayerCache) -> Iterator[None]:
    """Inside, every sequence attends to `prefix` before itself."""
    token = _prefix.set(prefix)
    try:
        yield
    finally:
        _prefix.reset(token)


@contextmanager
def capturing(into: LayerCache) -> Iterator[None]:
    """Inside, the keys and values of the (single) sequence are kept in `into`."""
    token = _capture.set(into)
    try:
        yield
    finally:
        _capture.reset(token)


@contextmanager
def continuing(rows: RaggedKVCache) -> Iterator[None]:
    """Inside, the one sequence that the model gets is the tokens that `rows` announced, packed: each row attends to
    what is kept of it, and is kept."""
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
    """query [B, H, S, d], key and value [B, G, S, d], attention_mask additive [B or 1, 1, S, S] or None for causal.
    Where rows are continued, B is 1 and S counts all their new tokens.

    Returns [B, S, H, d], as transformers expects of an attention function.
    """
    layer = int(module.layer_idx)
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
    if _has_fast_kernel(query) and not softcap:
        mixed = flash_attention(query, key, value, attention_mask, (prefix_key, prefix_value), scaling)
        return (rows.packed(mixed) if rows else mixed), None
    query = query * scaling
    # No token looks ahead (a tree's nodes come last), so a block of queries needs only the keys up to its end.
    spans = [(start, min(start + _QUERY_BLOCK, length)) for start in range(0, length, _QUERY_BLOCK)]
    blocks = [
        _block(query[:, :, start:end], key[:, :, :seen], value[:, :, :seen], attention_mask[:, :, start:end, :seen],
               prefix_key, prefix_value, softcap)
        for start, end in spans
        for seen in [before + end]
    ]  # fmt: skip
    mixed = blocks[0] if len(blocks) == 1 else torch.cat(blocks, dim=1)
    return (rows.packed(mixed) if rows else mixed), None


def _has_fast_kernel(query: Tensor) -> bool:
    on_cpu = query.device.type == "cpu" and query.dtype is torch.bfloat16
    return on_cpu and not torch.is_grad_enabled() and torch.cpu._is_amx_tile_supported()


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
    """Whether a token would look back further than the window lets it: itself, `shared` and its own at once."""
    if not window or shared + mask.shape[-1] <= window:
        return False
    # A tree's branches stand side by side: what a token sees, not how many tokens there are, is how far it looks.
    return shared + int((mask == 0).sum(-1).max()) > window


def causal_mask(length: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Additive [1, 1, length, length]: 0 where a token may look, -inf where it may not."""
    return torch.full((length, length), float("-inf"), dtype=dtype, device=device).triu(1)[None, None]


AttentionInterface.register(NAME, _attention)
