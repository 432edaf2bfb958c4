"""Whether an engine of another user, or of this user with another TMPDIR, is on a GPU already.

In: a GPU's UUID. Out: whether this process is alone there, as far as engines of sparklabel go. The endpoint keeps one
user's engines apart; this only warns. All users of the host meet at a file in shared memory: its content is never read,
it is never deleted, and holding its lock keeps nobody from anything.
"""

import fcntl
import os
import re
import stat
from contextlib import suppress
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""No link is followed and no pipe waited for: whoever was first may have put anything at this name."""


def enter_gpu(device: str, folder: Path = SHARED_MEMORY) -> bool:
    """Marks the GPU as used as long as this process lives. Returns whether no other process had marked it.

    True too where it cannot be known: without shared memory, or if something else is at the file's place.
    """
    name = re.sub(r"[^\w.-]", "_", device)
    try:
        file = _open(folder / f"sparklabel-gpu-{name}")
    except OSError:
        return True
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        return True
    alone = _try(file, fcntl.LOCK_EX)
    _try(file, fcntl.LOCK_SH)  # held by all who are there, so that the next one sees them
    return alone


def _open(file: Path) -> int:
    """Readable by all, so that they can lock it, and written by nobody. Closed at the process's end."""
    with suppress(FileExistsError):
        made = os.open(file, _FLAGS | os.O_CREAT | os.O_EXCL, 0o444)
        os.fchmod(made, 0o444)
        return made
    return os.open(file, _FLAGS)


def _try(file: int, how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
