"""What the model computed in a pass so far. Pure: no Spark."""

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChunkStats:
    """One chunk: how many inputs were answered, how many of them the engine failed on, and their tokens."""

    answers: int
    failed: int
    prompt_tokens: int
    output_tokens: int


class PassStats:
    """Sums over the chunks of a pass. `last` is the number of inputs in the newest chunk."""

    def __init__(self) -> None:
        self.inputs = self.last = self.prompt_tokens = self.output_tokens = self.failed = self.chunks = 0
        self._first = 0
        self._started = self._loaded = self._ended = time.monotonic()

    def add(self, chunk: ChunkStats) -> None:
        self.last = chunk.answers
        self.chunks += 1
        self.inputs += chunk.answers
        self.prompt_tokens += chunk.prompt_tokens
        self.output_tokens += chunk.output_tokens
        self.failed += chunk.failed
        self._ended = time.monotonic()
        if not self._first:
            self._first, self._loaded = chunk.answers, self._ended

    @property
    def tokens(self) -> int:
        """Prompt and output tokens."""
        return self.prompt_tokens + self.output_tokens

    @property
    def note(self) -> str:
        """A few words for the progress bar."""
        tokens = self.tokens / max(self._ended - self._started, 1e-9)
        failed = f", {self.failed:,} failed" if self.failed else ""
        return f"{self.rate or 0:,.1f}/s, {tokens:,.0f} tokens/s{failed}"

    @property
    def rate(self) -> float | None:
        """Distinct inputs a second; without the first chunk, which loads the model, if there are others."""
        if self.inputs > self._first:
            return (self.inputs - self._first) / max(self._ended - self._loaded, 1e-9)
        return self.inputs / max(self._ended - self._started, 1e-9) if self.inputs else None
