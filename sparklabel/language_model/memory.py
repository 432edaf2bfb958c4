"""Memory that the C library keeps for the next batch instead of giving it back to the system.

Every layer frees its temporaries. glibc returns them to the kernel, which clears each page again before the next layer
may use it: a third of the time of a pass on CPUs (docs/log.md). In: nothing. Out: nothing; on systems without glibc,
and where the user tuned it in the environment, it does nothing.
"""

import ctypes
import os
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
