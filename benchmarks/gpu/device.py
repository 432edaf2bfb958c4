"""The device that is measured: its clock, its memory, and how fast it multiplies.

In: "cuda" or "cpu". Out: seconds, bytes, floating-point operations a second. On a CPU the memory is the process's.
"""

import gc
import resource
import statistics
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import torch

GIB = 2**30
_SIDES = {"cuda": 8192, "cpu": 1024}
_REPEATS = 10


class Device:
    """One device by torch's name; for a GPU, the first that this process sees."""

    def __init__(self, name: str) -> None:
        self.name, self.is_gpu = name, name.startswith("cuda")

    def now(self) -> float:
        """Seconds, once the device is through with all it was given."""
        if self.is_gpu:
            torch.cuda.synchronize()
        return time.perf_counter()

    def seconds(self, work: Callable[[], Any]) -> float:
        """How long it takes, the device's part included."""
        start = self.now()
        work()
        return self.now() - start

    def rounds(self, work: Callable[[], Any], most: int, within: float) -> list[float]:
        """Seconds of up to `most` rounds after one that warms up; at least one, no more once `within` seconds are
        gone."""
        begun = self.now()
        work()
        found = [self.seconds(work)]
        while len(found) < most and self.now() - begun + found[-1] < within:
            found.append(self.seconds(work))
        return found

    def free(self) -> None:
        """Gives back what nobody holds any more."""
        gc.collect()
        if self.is_gpu:
            torch.cuda.empty_cache()

    def held(self) -> int:
        """Bytes in use on the whole card, by all processes; 0 on a CPU, where that says nothing."""
        if not self.is_gpu:
            return 0
        free, total = torch.cuda.mem_get_info()
        return total - free

    def left(self) -> int | None:
        """Bytes that a tensor may still take on the card; None on a CPU."""
        return torch.cuda.mem_get_info()[0] if self.is_gpu else None

    def forget_peak(self) -> None:
        """The next peak is that of what comes now. A CPU's process keeps its own for good."""
        if self.is_gpu:
            torch.cuda.reset_peak_memory_stats()

    def peak(self) -> int:
        """The most bytes that were in use at once: of tensors on a GPU, else of the process since it began."""
        if self.is_gpu:
            return torch.cuda.max_memory_allocated()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def matmul_rate(self, dtype: torch.dtype) -> float:
        """FLOP/s: the median over some products of two random square matrices of 2 n^3 operations by their seconds.
        Random, since zeros are multiplied faster."""
        side = _SIDES["cuda" if self.is_gpu else "cpu"]
        a, b = (torch.randn(side, side, device=self.name, dtype=dtype) for _ in range(2))
        found = self.rounds(lambda: [torch.mm(a, b) for _ in range(_REPEATS)], 5, 5.0)
        return 2 * side**3 * _REPEATS / statistics.median(found)


class CutShort(BaseException):
    """The time is up. No Exception: nothing between here and who set the deadline shall catch it."""


@contextmanager
def deadline(seconds: float) -> Any:
    """Inside, CutShort is raised once so many seconds have passed. Main thread only."""
    import signal

    def ring(*_: Any) -> None:
        raise CutShort(f"its {seconds:.0f} seconds were over")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
