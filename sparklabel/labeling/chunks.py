"""Chunks of a pass: ranges of buckets, sized by the measured rate so that each takes about the same time; and what
the model computed in them."""

import time
from collections.abc import Iterator

from sparklabel.labeling.state.pending_inputs import BUCKETS
from sparklabel.labeling.state.staging import Staged

_FIRST, _SECONDS = 64, 15.0


class Chunks:
    """Iterates over (from, to) bucket ranges that cover all inputs; tell it with `took` what each one brought.

    A chunk is what a death can lose and a progress bar can show: a small one first, then about 15 seconds each, and up
    to twice that for the last.
    """

    def __init__(self, slots: int, inputs: int) -> None:
        self.slots = slots
        self.inputs, self._answered = max(inputs, 1), 0
        self._size = float(_FIRST * self.slots)

    def resize(self, rest: int) -> None:
        """Says how many inputs are left, where more is known now."""
        self.inputs = max(self._answered + rest, 1)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        start = 0
        while start < BUCKETS:
            width = max(1, round(self._size * BUCKETS / self.inputs))
            end = min(BUCKETS, start + width)
            # A small rest would cost jobs of its own. How long it takes is known behind the first chunk only.
            end = BUCKETS if BUCKETS - end < (width if start else width // 3) else end
            yield start, end
            start = end

    def took(self, inputs: int, seconds: float) -> None:
        """The last chunk answered so many inputs in that time."""
        self._answered += inputs
        rate = inputs / max(seconds, 1e-3)
        # The first chunk's time holds the model's loading: never shrink below it, and grow at most fourfold.
        self._size = min(max(rate * _SECONDS, _FIRST * self.slots), 4 * self._size)


class PassStats:
    """What the model computed in this pass. `stopped`: why it did not come to its end, or ""."""

    def __init__(self) -> None:
        self.inputs = self.last = self.prompt_tokens = self.output_tokens = self.failed = self.chunks = 0
        self.stopped = ""
        self._first = 0
        self._started = self._loaded = self._ended = time.monotonic()

    def add(self, staged: Staged) -> None:
        self.last = staged.answers
        self.chunks += 1
        self.inputs += staged.answers
        self.prompt_tokens += staged.prompt_tokens
        self.output_tokens += staged.output_tokens
        self.failed += staged.failed
        self._ended = time.monotonic()
        if not self._first:
            self._first, self._loaded = staged.answers, self._ended

    @property
    def note(self) -> str:
        """For the progress bar."""
        tokens = (self.prompt_tokens + self.output_tokens) / max(self._ended - self._started, 1e-9)
        failed = f", {self.failed:,} failed" if self.failed else ""
        return f"{self.rate or 0:,.1f}/s, {tokens:,.0f} tokens/s{failed}"

    @property
    def rate(self) -> float | None:
        """Distinct inputs a second, without the first chunk, which loads the model, where there are more."""
        if self.inputs > self._first:
            return (self.inputs - self._first) / (self._ended - self._loaded)
        return self.inputs / (self._ended - self._started) if self.inputs else None
