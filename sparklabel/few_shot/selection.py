"""Which candidates a prompt shows, by the meaning of their texts.

In: vectors of length 1, whose dot products are cosine similarities. Out: positions of candidates. The first candidate
wins a tie.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sparklabel.splits import input_key

_DECIMALS = 4
"""Similarities are rounded to this many decimals: further ones depend on what else is in the same batch."""

_ROWS_AT_ONCE = 256


class Encoder(Protocol):
    """Turns texts into vectors: float32 [N, D], each of length 1. Encoders with one `identity` give equal vectors."""

    identity: str

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]: ...


def joined(inputs: Sequence[str]) -> str:
    """A row's inputs as one text to embed."""
    return "\n".join(text.strip() for text in inputs)


def most_diverse(vectors: NDArray[np.float32], categories: Sequence[Sequence[str]], count: int) -> list[int]:
    """Up to `count` candidates that cover all categories, as far as `count` allows, and lie far apart.

    The greedy choice of k centers (Gonzalez 1985): first the candidate nearest to the mean of all, then each time the
    one farthest from all chosen ones. While a category is not covered, only candidates that add one are considered.
    """
    if not len(vectors):
        return []
    chosen: list[int] = []
    open_names = {name for names in categories for name in names}
    free = np.ones(len(vectors), dtype=bool)
    # The lowest is next: first by the similarity to the mean (negated), then by that to the nearest chosen one.
    closeness = -np.round(vectors @ vectors.mean(axis=0), _DECIMALS)
    while len(chosen) < count and free.any():
        adds = free & np.array([not open_names.isdisjoint(names) for names in categories])
        pool = np.flatnonzero(adds if adds.any() else free)
        taken = int(pool[np.argmin(closeness[pool])])
        alike = np.round(vectors @ vectors[taken], _DECIMALS)
        closeness = np.maximum(closeness, alike) if chosen else alike
        chosen.append(taken)
        free[taken] = False
        open_names.difference_update(categories[taken])
    return chosen


class Neighbors:
    """Finds the examples that are most similar to a row, leaving out the row's own text.

    `inputs` are those of the N examples, `vectors` float32 [N, D]; `encoder` must be the one that made them.
    """

    def __init__(
        self, inputs: Sequence[Sequence[str]], vectors: NDArray[np.float32], encoder: Encoder
    ) -> None:
        self._vectors, self._encoder = vectors, encoder
        self._own = {input_key(texts): position for position, texts in enumerate(inputs)}

    def nearest(self, rows: Sequence[Sequence[str]], count: int) -> list[list[int]]:
        """For each row, the positions of its `count` nearest examples, the nearest last."""
        found: list[list[int]] = []
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            found += self._nearest(rows[start : start + _ROWS_AT_ONCE], count)
        return found

    def _nearest(self, rows: Sequence[Sequence[str]], count: int) -> list[list[int]]:
        alike = np.round(self._encoder.embed([joined(row) for row in rows]) @ self._vectors.T, _DECIMALS)
        own = [self._own.get(input_key(row)) if self._own else None for row in rows]
        for row, position in enumerate(own):
            if position is not None:
                alike[row, position] = -np.inf
        most = [min(count, alike.shape[1] - (position is not None)) for position in own]
        return [
            np.argsort(-scores, kind="stable")[:n][::-1].tolist()
            for scores, n in zip(alike, most, strict=True)
        ]
