"""Chunks of a pass: ranges of hash buckets, sized by the measured rate. Pure: no Spark.

A chunk is what a death can lose and what a progress bar shows. In: how many inputs there are, how long each chunk took.
Out: the next range, and by how many tasks its answers should be written.
"""

import math
import time
from collections.abc import Callable, Iterator

BUCKETS = 65536
"""Into how many buckets of about the same size the inputs of a pass are hashed."""
_FIRST_INPUTS = 64
"""Inputs for each task slot in the first chunk, whose rate is unknown."""
_STEP, _LARGE_STEP, _SHORT_SECONDS = 4, 16, 3.0
"""The next chunk is at most four times as large as the last one, or sixteen times if that took so short."""
_SHORTEST_SECONDS, _LONGEST_SECONDS, _SHARE = 15.0, 120.0, 0.1
"""A chunk takes a tenth of the time that the pass has taken so far, within these bounds."""
_FILE_BYTES, _ANSWER_BYTES = 64 * 2**20, 1024
"""Answers are assumed to take 1 KiB each: twice what most do."""
WRITE_RATE, _WRITE_SHARE = 15_000, 0.05
"""Answers that a task writes in a second, and the share of a chunk's time that it may take: meanwhile the slots of the
tasks that do not write stand idle."""


class Chunks:
    """Iterates over (start, end) ranges of buckets that cover all inputs; `took` says how long each one took.

    The first chunk is small. Later ones take 15 seconds, and up to two minutes as the pass goes on, so that staging
    gets few files. The last one may be up to twice as long as the others.
    """

    def __init__(self, slots: int, inputs: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.slots, self._clock = slots, clock
        self._inputs, self._answered = max(inputs, 1), 0
        self._size, self._seconds = float(_FIRST_INPUTS * slots), _SHORTEST_SECONDS
        self._began = clock()

    def __iter__(self) -> Iterator[tuple[int, int]]:
        start = 0
        while start < BUCKETS:
            width = max(1, round(self._size * BUCKETS / self._inputs))
            end = min(BUCKETS, start + width)
            # A small rest would cost jobs of its own. After the first chunk its rate is known, so more may be added.
            end = BUCKETS if BUCKETS - end < (width if start else width // 3) else end
            yield start, end
            start = end

    def files(self, inputs: int) -> int:
        """By how many tasks the newest chunk, of so many inputs, should be written."""
        return files_of(inputs, self._seconds)

    def took(self, inputs: int, seconds: float) -> None:
        """The newest chunk answered so many inputs in `seconds`."""
        self._answered += inputs
        rate = inputs / max(seconds, 1e-3)
        self._seconds = chunk_seconds(self._clock() - self._began)
        # The first chunk's time includes loading the model: never shrink below its size. Grow by steps: a short chunk
        # says little about a long one.
        step = _LARGE_STEP if seconds < _SHORT_SECONDS else _STEP
        self._size = min(max(rate * self._seconds, _FIRST_INPUTS * self.slots), step * self._size)


def chunk_seconds(elapsed: float) -> float:
    """How many seconds the next chunk should take, `elapsed` seconds after the first one began."""
    return min(max(_SHORTEST_SECONDS, _SHARE * elapsed), _LONGEST_SECONDS)


def files_of(inputs: int, seconds: float) -> int:
    """By how many tasks, each of which writes one file, the answers of a chunk of so many seconds should be written."""
    most = min(_FILE_BYTES / _ANSWER_BYTES, WRITE_RATE * _WRITE_SHARE * seconds)
    return max(1, math.ceil(inputs / most))
