"""The same probabilities on the device as on a CPU in float32, for 2 and 77 labels.

largest          the largest difference between two probabilities of the same label of the same row
within 0.001     the share of values that are no further apart: all must be, in float32
within 0.02      the same in the type that the device computes in: 99% must be, where that is one of 16 bits
spread           the standard deviation of the CPU's probabilities: with 0, agreeing would be easy
"""

from collections.abc import Iterator
from typing import Any

import torch
from numpy.typing import NDArray

from benchmarks.gpu.agreeing import Agreement, probabilities
from benchmarks.gpu.kit import Kit
from benchmarks.gpu.models import IN_MEMORY, NotHere
from benchmarks.gpu.ours import ScoringRequest, TransformersEngine
from benchmarks.gpu.prompts import PREFIX, prefix_of, rows_of, trie_of
from benchmarks.gpu.table import FAILED, OK, Line

LABELS = (2, 77)
_ROWS, _TOKENS = 24, 100
DTYPES = ("float32", "bfloat16")


def measure(kit: Kit, model: str) -> Iterator[Line]:
    """One line a type and number of labels. Raises NotHere for a model that is never in a folder."""
    if model in IN_MEMORY:
        raise NotHere("a CPU would need 32 GB and minutes for it: the smaller models are compared")
    requests, expected = asked(kit.models.engine(model, "float32", "cpu"))
    for dtype in DTYPES:
        engine = kit.models.engine(model, dtype)
        for labels in LABELS:
            found = probabilities(engine, requests[labels])
            yield _line(model, labels, dtype, found, expected[labels])
        del engine
        kit.device.free()


def asked(engine: TransformersEngine) -> tuple[dict[int, ScoringRequest], dict[int, NDArray[Any]]]:
    """The requests by number of labels, and what the engine says to them."""
    vocabulary = engine.language_model.model.config.vocab_size
    rows = rows_of(_ROWS, _TOKENS - PREFIX, vocabulary, seed=3)
    requests = {n: ScoringRequest(prefix_of(vocabulary), rows, trie_of(n, engine.tokenizer)) for n in LABELS}
    return requests, {n: probabilities(engine, request) for n, request in requests.items()}


def _line(model: str, labels: int, dtype: str, found: NDArray[Any], expected: NDArray[Any]) -> Line:
    agreement = Agreement.of(found, expected, getattr(torch, dtype))
    figures = {
        "values": found.size, "largest": agreement.largest, f"within {agreement.near}": agreement.share,
        "spread": float(expected.std()),
    }  # fmt: skip
    status, note = (OK, "") if agreement.holds else (FAILED, "other probabilities than the CPU's")
    return Line("agreement", model, f"{dtype}, {labels} labels", figures, status, note)
