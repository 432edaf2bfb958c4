"""The features of rows as the probe process keeps them: read once, as float16.

In: texts, or features of rows. Out: features of the rows that are asked for.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparklabel.classifiers.heads import Features
from sparklabel.few_shot import Encoder
from sparklabel.probe.hidden_states import Projection, to_float16

ROWS_OF_PROJECTION = 1024
"""From how many rows it is seen how to project the others."""


class KnownVectors:
    """An encoder that remembers the vectors of texts: two rows may have the same record."""

    def __init__(self, encoder: Encoder) -> None:
        self.identity = encoder.identity
        self._encoder = encoder
        self._known: dict[str, NDArray[np.float16]] = {}

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As the encoder does, but for the rounding to float16."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        vectors = self._encoder.embed(new)
        self._known |= zip(new, vectors.astype(np.float16), strict=True)
        return np.stack([self._known[text] for text in texts]).astype(np.float32) if texts else vectors


class StoredFeatures:
    """The features of rows from one source, as float16, in an array that grows.

    Args:
        is_wide: Whether rows are projected to fewer numbers, once there are enough to see how. Before that the features
            are not ready.
    """

    def __init__(self, *, is_wide: bool = False) -> None:
        self.hashes: list[str] = []
        self.position: dict[str, int] = {}
        self.is_ready = not is_wide
        self._array: NDArray[np.float16] | None = None
        self._projection: Projection | None = None

    def add(self, hashes: Sequence[str], read: Features, *, is_last: bool) -> None:
        """Appends rows, behind which for now no more come if `is_last`."""
        start, end = len(self.hashes), len(self.hashes) + len(hashes)
        read = self._projection(read) if self._projection else read
        array = self._array
        if array is None or len(array) < end:
            array = np.zeros((max(2 * end, 1024), read.shape[1]), np.float16)
            if self._array is not None:
                array[:start] = self._array[:start]
        array[start:end] = to_float16(read)
        self._array = array
        self.position |= zip(hashes, range(start, end), strict=True)
        self.hashes += hashes
        if end >= ROWS_OF_PROJECTION or is_last:
            self.project()

    def project(self) -> None:
        """Projects the rows, and from then on later ones like them; nothing is done without rows, or twice."""
        if not self.is_ready and self._array is not None:
            features = self._array[: len(self.hashes)].astype(np.float32)
            self._projection = Projection.fit(features)
            self._array = self._projection(features).astype(np.float16)
            self.is_ready = True

    def of(self, hashes: Sequence[str]) -> NDArray[np.float16]:
        """The features of rows that were added."""
        assert self._array is not None
        return self._array[[self.position[one] for one in hashes]]
