"""How much of a model passes through memory at once, planned before the first step of a training on packs.

In: a base's configuration, how many ranks share it, what a device holds. Out: a `MemoryPlan`. One decoder layer is run,
forward, to see what it keeps for its gradients; the rest is arithmetic. Ranks that ran out of memory have to begin
again together, so it is better to know.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from sparklabel.errors import ModelError
from sparklabel.language_model.attention import packed
from sparklabel.language_model.model import best_dtype, without_weights
from sparklabel.language_model.output_heads import LOGITS_AT_ONCE
from sparklabel.language_model.partial_forward import DecoderStack, decoder_depth
from sparklabel.language_model.training.pack_loss import PackedPiece, PackLoss, check_same_in_packs

TO_SPARE = 0.10
"""The share of a device that a plan leaves free."""
_TRAINED, _TRAINED_WHOLE, _STEPPED_WHOLE = 16, 22, 30
"""Bytes for each weight that a rank trains: float32 weight, gradient, and AdamW's two moments. A model that is not
divided also has a gradient, a copy and its former weights in the type that computes; AdamW's step takes two more
numbers for each weight, when no activations are kept."""
_STAGED = 12
"""Bytes of each weight in the copy that a checkpoint is written from, in the host's memory."""
_LOGITS = 3 * 4 * LOGITS_AT_ONCE
"""Logits in float32, their gradients and what the softmax keeps."""
_MOST_PACKS, _MOST_DEVICES = 64, 4096


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """`microbatch_tokens` pass through the model at once; with `checkpointing`, activations are computed again. A rank
    is expected to need `bytes` of memory."""

    microbatch_tokens: int
    checkpointing: bool
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSizes:
    """What memory is planned by.

    Attributes:
        parameters: Of the whole model.
        layer_parameters: Of one decoder layer.
        layers: How many there are.
        outer_parameters: Of what is not in a layer: the input and output matrices.
        saved: Bytes that a layer keeps for its gradients, for each token.
        state: Bytes of the hidden state between two layers, for each token.
        width: Bytes of a weight that computes.
        is_frozen: Whether only adapters are trained, next to which all else is large.
        on_host: Whether the device is the host, whose memory checkpoints are staged in, too.
    """

    parameters: int
    layer_parameters: int
    layers: int
    outer_parameters: int
    saved: float
    state: int
    width: int
    is_frozen: bool = False
    on_host: bool = False

    def divided(self, world_size: int, tokens: int, *, checkpointing: bool) -> int:
        """Bytes that each of the ranks needs that share the model: its shards; the outer weights and two layers,
        gathered to compute and to be given gradients; and what so many tokens leave for the gradients."""
        a_weight = self.width if self.is_frozen else _TRAINED + _STAGED * self.on_host
        gathered = (2 * self.width + 4) * (self.outer_parameters + 2 * self.layer_parameters)
        return int(a_weight * self.parameters / world_size + gathered + self.kept(tokens, checkpointing))

    def whole(self, tokens: int, *, checkpointing: bool) -> int:
        """Bytes that a rank needs which has the whole model."""
        a_weight = self.width if self.is_frozen else _TRAINED_WHOLE
        computing = a_weight * self.parameters + self.kept(tokens, checkpointing)
        return int(computing if self.is_frozen else max(computing, _STEPPED_WHOLE * self.parameters))

    def kept(self, tokens: int, checkpointing: bool) -> float:
        """Bytes that so many tokens leave for the gradients, the output's included."""
        a_token = self.state * self.layers + self.saved if checkpointing else self.saved * self.layers
        return a_token * tokens + _LOGITS


def plan_memory(
    sizes: ModelSizes,
    world_size: int,
    pack_tokens: int,
    limit: int,
    *,
    microbatch_tokens: int | None = None,
    most_tokens: int | None = None,
    checkpointing: bool | None = None,
) -> MemoryPlan:
    """The fastest way that fits of a model that ranks share: no checkpointing and the most packs at once, else
    checkpointing.

    Args:
        sizes: Of the model.
        world_size: How many ranks share it.
        pack_tokens: The size of a pack: fewer do not pass at once.
        limit: Bytes that a device has.
        microbatch_tokens: If the user says how many.
        most_tokens: More have been tried, and did not fit.
        checkpointing: If the user says whether.

    Raises:
        ModelError: Not even one pack fits, or not what the user asked for; and how many devices would do.
    """
    usable = _usable(limit)
    wanted = min(filter(None, (microbatch_tokens, most_tokens)), default=_MOST_PACKS * pack_tokens)
    most = max(1, wanted // pack_tokens)
    fewest = most if microbatch_tokens and not most_tokens else 1
    for recomputes in (False, True) if checkpointing is None else (checkpointing,):
        for packs in range(most, fewest - 1, -1):
            needed = sizes.divided(world_size, packs * pack_tokens, checkpointing=recomputes)
            if needed <= usable:
                return MemoryPlan(packs * pack_tokens, recomputes, needed)
    tokens, recomputes = fewest * pack_tokens, checkpointing is not False
    lower = "microbatch_tokens" if fewest > 1 else "max_tokens"
    raise _too_large(
        sizes, sizes.divided(world_size, tokens, checkpointing=recomputes), world_size, limit,
        _devices_that_would_do(sizes, tokens, usable, recomputes), f"lower {lower}",
    )  # fmt: skip


def plan_whole(
    sizes: ModelSizes, pack_tokens: int, limit: int, most: int, *, checkpointing: bool | None = None
) -> MemoryPlan:
    """The same for a model that is not divided, of which at most `most` tokens are to pass at once; and fewer than a
    pack, if need be. Raises ModelError if a device cannot train it, and says among how many processes it would fit."""
    usable, needed = _usable(limit), 0
    for recomputes in (False, True) if checkpointing is None else (checkpointing,):
        tokens = most
        while tokens >= min(most, pack_tokens):
            needed = sizes.whole(tokens, checkpointing=recomputes)
            if needed <= usable:
                return MemoryPlan(tokens, recomputes, needed)
            tokens //= 2
    enough = _devices_that_would_do(sizes, pack_tokens, usable, True)
    raise _too_large(sizes, needed, 1, limit, enough, "lower max_tokens")


def _usable(limit: int) -> int:
    return int(limit * (1 - TO_SPARE))


def _devices_that_would_do(sizes: ModelSizes, tokens: int, usable: int, checkpointing: bool) -> int | None:
    """How many ranks could share the model."""
    counts = range(2, _MOST_DEVICES + 1)
    return next((n for n in counts if sizes.divided(n, tokens, checkpointing=checkpointing) <= usable), None)


def _too_large(
    sizes: ModelSizes, needed: int, devices: int, limit: int, enough: int | None, otherwise: str
) -> ModelError:
    what = "adapters beside" if sizes.is_frozen else "all"
    where = f"on each of {devices} devices, which have" if devices > 1 else "in one process, whose device has"
    adapters = "" if sizes.is_frozen else ", or train adapters: parameters='lora'"
    would_do = f"{enough} processes that divide it would do (num_processes={enough}); or " if enough else ""
    hint = f"{would_do}{otherwise}{adapters}."
    return ModelError(
        f"Training {what} {sizes.parameters:,} weights takes {needed / 2**30:.1f} GiB {where} "
        f"{limit / 2**30:.1f} GiB, of which {TO_SPARE:.0%} are left free.",
        hint=hint[0].upper() + hint[1:],
    )


def model_sizes(base: Path, device: torch.device, pack_tokens: int, *, is_frozen: bool = False) -> ModelSizes:
    """Measures one decoder layer of the model on this device, with random weights. Raises ModelError for an
    architecture whose layers are not found, or see beyond a piece of a pack."""
    whole = without_weights(base)
    config, layers = whole.config, DecoderStack.of(whole).layers
    one_layer = sum(p.numel() for p in layers[0].parameters())
    parameters, depth = sum(p.numel() for p in whole.parameters()), decoder_depth(whole)
    width = best_dtype(device.type).itemsize
    return ModelSizes(
        parameters=parameters, layer_parameters=one_layer, layers=depth,
        outer_parameters=parameters - depth * one_layer, saved=_saved_bytes(config, device, pack_tokens),
        state=config.get_text_config().hidden_size * width, width=width, is_frozen=is_frozen,
        on_host=device.type == "cpu",
    )  # fmt: skip


def weights_bytes(base: Path, device: torch.device) -> int:
    """Bytes that the model's weights take where they compute."""
    return sum(p.numel() for p in without_weights(base).parameters()) * best_dtype(device.type).itemsize


def _saved_bytes(config: Any, device: torch.device, tokens: int) -> float:
    """Bytes a token that a layer keeps for its gradients."""
    kept = [_kept_by(deepcopy(config), depth, device, tokens) for depth in (1, 2)]
    return max(0.0, float(kept[1] - kept[0]) / tokens)


def _kept_by(config: Any, depth: int, device: torch.device, tokens: int) -> int:
    """Bytes that a model with so many layers and next to no vocabulary keeps."""
    from transformers import AutoModelForCausalLM

    text = config.get_text_config()
    text.num_hidden_layers, text.vocab_size, text.pad_token_id = depth, 8, None
    if getattr(text, "layer_types", None):
        text.layer_types = list(text.layer_types)[:depth]
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            model: Any = AutoModelForCausalLM.from_config(
                config, dtype=best_dtype(device.type), trust_remote_code=False
            ).to(device)
    except (TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
        raise ModelError(f"A layer of {type(config).__name__} cannot be measured: {error}") from None
    model.set_attn_implementation(packed.NAME)
    loss = PackLoss(model.eval(), trains_head=True)
    check_same_in_packs(loss)
    piece = PackedPiece(np.ones(tokens, np.int32), tokens - 1)
    kept: dict[int, int] = {}
    with _noting(kept, loss):
        loss([piece])
    return sum(kept.values())


@contextmanager
def _noting(kept: dict[int, int], module: nn.Module) -> Iterator[None]:
    """Inside, notes the bytes of each storage that is kept for gradients, except weights."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        yield


def check_host_holds(sizes: ModelSizes, world_size: int, ranks_here: int) -> None:
    """Raises ModelError if this host's memory does not hold the copies that its ranks' checkpoints are written from."""
    import psutil

    needed = _STAGED * sizes.parameters // world_size * ranks_here
    free = int(psutil.virtual_memory().available)
    if not sizes.is_frozen and needed > free * (1 - TO_SPARE):
        raise ModelError(
            f"Checkpoints of {ranks_here} ranks are written from {needed / 2**30:.1f} GiB of their host's memory, "
            f"which has {free / 2**30:.1f} GiB left.",
            hint="Give the host more memory, or spread the ranks over more hosts.",
        )


def device_bytes(device: torch.device, ranks_here: int) -> int:
    """The memory that this rank can have: of its GPU, or its share of what the host has left."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    import psutil

    return int(psutil.virtual_memory().available) // max(1, ranks_here)
