"""Memory that ran out, on a device or the host: what it looks like, and how to go on with less at once."""

from collections.abc import Callable

import torch

_SAID = ("allocate memory", "not enough memory", "STATUS_ALLOC_FAILED")
"""How torch says it in errors that have no class of their own: on the host, and in libraries of the device."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether less at once may fit."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(said in str(error) for said in _SAID)


def fits(work: Callable[[], object], *, divisible: bool) -> bool:
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
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
