"""Memory: how much of it the C library keeps, and what counts as running out of it.

In: work to run. Out: whether memory sufficed. What is done with less at once is the caller's.
"""

import ctypes
import os
from collections.abc import Callable
from functools import cache

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_TRIM_BYTES = 256 * 2**20
"""The most freed memory that stays with the process."""

_MMAP_BYTES = 32 * 2**20
"""Larger blocks are mapped one by one and always returned to the kernel; glibc allows no higher threshold."""

_TUNED_BY_USER = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


@cache
def keep_freed_memory() -> None:
    """Lets glibc reuse the temporaries of a layer instead of returning them to the kernel, which clears them each time.

    Call it before the first forward pass on a CPU. It does nothing where users set glibc's options themselves."""
    if any(name in os.environ for name in _TUNED_BY_USER):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # Windows, macOS, musl
        return
    # Setting either one switches off glibc's own adjustment of both.
    mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)


_MESSAGES = ("allocate memory", "not enough memory", "STATUS_ALLOC_FAILED")
"""What torch says in errors without a class of their own: on the host, and in libraries of the device."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, so that less at once may fit."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(message in str(error) for message in _MESSAGES)


def runs_within_memory(work: Callable[[], object], *, divisible: bool) -> bool:
    """Runs `work`; returns False if memory ran out. The error is raised if the work is not `divisible`."""
    try:
        work()
    except (MemoryError, RuntimeError) as error:
        if not (divisible and is_out_of_memory(error)):
            raise
        return False
    return True


def free_device_memory() -> None:
    """Returns the device memory that torch keeps for reuse: its pieces may have the wrong size."""
    import torch

    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
