"""Locks among the processes of a host that say who holds them.

In: a file. Out: a context in which no other process of the host is. Who holds a lock is noted in a file beside it,
`NAME.holder`; the note is for people, the lock itself is the system's and ends with its process.
"""

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from sparklabel.errors import SetupError, SparklabelError

PATIENCE = 3600.0
"""Seconds: longer than what is done under a lock takes, a download of a large model included; but for training, which
is waited for as long as it takes."""


@contextmanager
def held(
    file: Path,
    doing: str,
    *,
    patience: float = PATIENCE,
    waiting: Callable[[str], None] | None = None,
    error: type[SparklabelError] = SetupError,
) -> Iterator[None]:
    """Holds the lock, once no other process does.

    Args:
        file: The lock, a file beside what it protects.
        doing: What is done meanwhile, as the holder's note and an error say it: "builds the model".
        patience: Seconds to wait for another process.
        waiting: Called about once a second meanwhile, with who holds the lock. What it raises ends the waiting, and
            nothing else does.
        error: What is raised then.

    Raises:
        SetupError: Another process held the lock for too long. The message names the file and its holder. Or `error`.
    """
    note = file.with_name(f"{file.name}.holder")
    lock = FileLock(file)
    while not _acquired(lock, 1.0 if waiting else patience):
        if waiting is None:
            raise error(
                f"The lock {file} was not free within {patience:g} seconds; it is held by {_holder(note)}.",
                hint="See whether that process still works. If it hangs, end it: the lock is free then.",
            )
        waiting(_holder(note))
    try:
        _write(note, doing)
        yield
    finally:
        with suppress(OSError):
            note.unlink(missing_ok=True)
        lock.release()


def _acquired(lock: BaseFileLock, seconds: float) -> bool:
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        return False
    return True


def _write(note: Path, doing: str) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with suppress(OSError):  # on a full disk the lock holds all the same
        note.write_text(f"process {os.getpid()} on {platform.node()}, which {doing} since {now}", "utf-8")


def _holder(note: Path) -> str:
    try:
        return note.read_text("utf-8", "replace")[:300].strip() or "an unknown process"
    except OSError:
        return "an unknown process"
