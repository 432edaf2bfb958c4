"""Memory: what the C library keeps, and what to do when it runs out."""

import ctypes
import os
from collections.abc import Callable
from functools import cache

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_TRIM_BYTES = 256 * 2**20
"""At most this much freed memory stays with the process."""

_MMAP_BYTES = 32 * 2**20
"""Larger blocks are mapped one by one and always given back; glibc takes no larger threshold."""

_TUNED_BY_USER = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


@cache
def keep_freed_memory() -> None:
    """Once a process, before the first forward pass on a CPU."""
    if any(name in os.environ for name in _TUNED_BY_USER):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # Windows, macOS, musl
        return
    # Setting either ends glibc's own adjustment of both.
    mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)


_SAID = ("allocate memory", "not enough memory", "STATUS_ALLOC_FAILED")
"""How torch says it in errors that have no class of their own: on the host, and in libraries of the device."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether less at once may fit."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(said in str(error) for said in _SAID)


def runs_within_memory(work: Callable[[], object], *, divisible: bool) -> bool:
    """Runs `work`: False where memory ran out. What cannot be done in smaller parts passes the error on."""
    try:
        work()
    except (MemoryError, RuntimeError) as error:
        if not (divisible and is_out_of_memory(error)):
            raise
        return False
    return True


def free_device_memory() -> None:
    """Gives back what torch keeps of a device's memory for later: it may be in pieces of the wrong size."""
    import torch

    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
