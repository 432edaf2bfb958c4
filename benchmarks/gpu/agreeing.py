"""Whether two ways to compute them give the same probabilities.

In float32 all must be within 0.001, since only the order of sums differs. In 16 bits 99% must be within 0.02: each
layer rounds, and other kernels or another batch round otherwise.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.gpu.ours import ScoringRequest

NEAR, MIN_SHARE = {torch.float32: 0.001}, {torch.float32: 1.0}
_NEAR, _MIN_SHARE = 0.02, 0.99


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of all values: the largest difference, the share within `near`, and whether that share is enough."""

    largest: float
    near: float
    share: float
    holds: bool

    @classmethod
    def of(cls, found: NDArray[Any], expected: NDArray[Any], dtype: torch.dtype) -> "Agreement":
        """Of two arrays of probabilities of one shape, the less exact of which was computed in `dtype`."""
        apart = np.abs(found - expected)
        near = NEAR.get(dtype, _NEAR)
        share = float((apart <= near).mean())  # what is no number is not near
        return cls(float(apart.max()), near, share, share >= MIN_SHARE.get(dtype, _MIN_SHARE))


def probabilities(engine: Any, request: ScoringRequest) -> NDArray[np.float64]:
    """[rows, labels], by any engine."""
    found: NDArray[np.float64] = np.exp(request.trie.log_probabilities(engine.score(request)))
    return found
