"""Which candidates a prompt shows, by what their texts mean.

In: vectors, rows of length 1 whose products are cosine similarities. Out: positions of candidates. Ties go to the one
that comes first.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sparklabel.few_shot.candidates import own_key

_DECIMALS = 4
"""Similarities are compared to so many: the last ones depend on what else was computed in the same batch."""

_ROWS_AT_ONCE = 256


class Encoder(Protocol):
    """Gives texts their vectors: float32 [N, D], each of length 1. `identity` changes where the vectors would."""

    identity: str

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]: ...


def joined(inputs: Sequence[str]) -> str:
    """A row's inputs as one text to embed."""
    return "\n".join(text.strip() for text in inputs)


def most_diverse(vectors: NDArray[np.float32], said: Sequence[Sequence[str]], count: int) -> list[int]:
    """Up to `count` candidates that say all there is to say, as far as `count` allows, and lie far apart.

    The greedy choice of k centers (Gonzalez 1985): first what is nearest to the mean of all, then always what is
    farthest from all that were chosen; while some name in `said` is not covered, among those that say such a one.
    """
    if not len(vectors):
        return []
    chosen: list[int] = []
    open_names = {name for names in said for name in names}
    free = np.ones(len(vectors), dtype=bool)
    # The lowest is taken next: against the mean for the first, then the similarity to the nearest chosen one.
    closeness = -np.round(vectors @ vectors.mean(axis=0), _DECIMALS)
    while len(chosen) < count and free.any():
        adds = free & np.array([not open_names.isdisjoint(names) for names in said])
        pool = np.flatnonzero(adds if adds.any() else free)
        taken = int(pool[np.argmin(closeness[pool])])
        alike = np.round(vectors @ vectors[taken], _DECIMALS)
        closeness = np.maximum(closeness, alike) if chosen else alike
        chosen.append(taken)
        free[taken] = False
        open_names.difference_update(said[taken])
    return chosen


class Neighbours:
    """Finds, for rows, the examples most alike to them, never a row's own text.

    `inputs` are those of the N examples, `vectors` float32 [N, D]; `encoder` must be the one that made them.
    """

    def __init__(
        self, inputs: Sequence[Sequence[str]], vectors: NDArray[np.float32], encoder: Encoder
    ) -> None:
        self._vectors, self._encoder = vectors, encoder
        self._own = {own_key(texts): position for position, texts in enumerate(inputs)}

    def nearest(self, rows: Sequence[Sequence[str]], count: int) -> list[list[int]]:
        """Per row the positions of its `count` nearest examples, the nearest last."""
        found: list[list[int]] = []
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            found += self._nearest(rows[start : start + _ROWS_AT_ONCE], count)
        return found

    def _nearest(self, rows: Sequence[Sequence[str]], count: int) -> list[list[int]]:
        alike = np.round(self._encoder.embed([joined(row) for row in rows]) @ self._vectors.T, _DECIMALS)
        own = [self._own.get(own_key(row)) for row in rows]
        for row, position in enumerate(own):
            if position is not None:
                alike[row, position] = -np.inf
        most = [min(count, alike.shape[1] - (position is not None)) for position in own]
        return [
            np.argsort(-scores, kind="stable")[:n][::-1].tolist()
            for scores, n in zip(alike, most, strict=True)
        ]
