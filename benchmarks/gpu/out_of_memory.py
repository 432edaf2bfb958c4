"""Memory that runs out while rows are scored: provoked, and survived.

On a GPU, torch's allocator is held to the memory between what the model takes and what a full batch took: it raises
its own error. On a CPU, where nothing may be held so, the same error is raised for more than half of a batch.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from benchmarks.gpu.agreeing import Agreement, probabilities
from benchmarks.gpu.device import GIB, Device
from benchmarks.gpu.ours import ScoringRequest, TransformersEngine
from benchmarks.gpu.prompts import PREFIX, prefix_of, rows_of, trie_of
from benchmarks.gpu.table import FAILED, OK, Line

_TOKENS = 100
_PART = 0.5
"""Of what a full batch needs: so much there is, or of its tokens so many fit."""


class Shortage:
    """`errors` counts how often memory ran out."""

    def __init__(self) -> None:
        self.errors = 0


def provoked(device: Device, engine: TransformersEngine, model: str) -> Line:
    """Scores rows twice, the second time short of memory. OK where memory did run out and the answers are the same."""
    language_model = engine.language_model
    request, before = _request(engine), language_model.batch_tokens
    expected, needed = _with_peak(device, engine, request)
    with short_of_memory(device, engine, needed) as shortage:
        found = probabilities(engine, request)
    after, language_model.batch_tokens = language_model.batch_tokens, before
    agreement = Agreement.of(found, expected, language_model.model.dtype)
    survived = shortage.errors > 0 and agreement.holds
    figures = {
        "rows": len(request.rows), "peak GiB": needed / GIB, "times out of memory": shortage.errors,
        "batch tokens before": before, "batch tokens after": after, "p differs at most": agreement.largest,
    }  # fmt: skip
    note = (
        "" if survived else "memory did not run out" if not shortage.errors else "other answers than before"
    )
    return Line("scoring", model, "out of memory", figures, OK if survived else FAILED, note)


def _request(engine: TransformersEngine) -> ScoringRequest:
    """Two full batches, so that what was learned on the first is used on the second."""
    vocabulary = engine.language_model.model.config.vocab_size
    number = 2 * engine.language_model.batch_tokens // _TOKENS
    rows = rows_of(number, _TOKENS - PREFIX, vocabulary, seed=2)
    return ScoringRequest(prefix_of(vocabulary), rows, trie_of(2, engine.tokenizer))


def _with_peak(device: Device, engine: TransformersEngine, request: ScoringRequest) -> tuple[Any, int]:
    device.free()
    device.forget_peak()
    return probabilities(engine, request), device.peak()


@contextmanager
def short_of_memory(device: Device, engine: TransformersEngine, needed: int) -> Iterator[Shortage]:
    """Inside, the device has too little for what took `needed` bytes at its peak."""
    with (_held if device.is_gpu else _pretended)(device, engine, needed) as shortage:
        yield shortage


@contextmanager
def _held(device: Device, engine: TransformersEngine, needed: int) -> Iterator[Shortage]:
    shortage = Shortage()
    device.free()
    own, total = torch.cuda.memory_reserved(), torch.cuda.mem_get_info()[1]
    before = torch.cuda.memory_stats().get("num_ooms", 0)
    torch.cuda.set_per_process_memory_fraction(min(1.0, (own + _PART * (needed - own)) / total))
    try:
        yield shortage
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        shortage.errors = torch.cuda.memory_stats().get("num_ooms", 0) - before


@contextmanager
def _pretended(device: Device, engine: TransformersEngine, needed: int) -> Iterator[Shortage]:
    shortage, most = Shortage(), engine.language_model.batch_tokens * _PART

    def check(module: Any, arguments: Any, named: dict[str, Any]) -> None:
        if named["input_ids"].numel() > most:
            shortage.errors += 1
            raise torch.OutOfMemoryError("pretended: out of memory")

    hook = engine.language_model.model.base_model.register_forward_pre_hook(check, with_kwargs=True)
    try:
        yield shortage
    finally:
        hook.remove()
