"""The processes that a server works for, watched by the kernel.

In: process numbers. Out: whether any of them lives. A number that is given to a new process is not mistaken for the old
one where the kernel has pidfds (Linux).
"""

import os
import select
import threading
from contextlib import suppress
from pathlib import Path

_EXECUTOR = "java"
_MOST_ANCESTORS = 16


class ClientProcesses:
    """At least one, and those that joined later."""

    def __init__(self, first: int) -> None:
        self._fds: dict[int, int | None] = {}
        self._lock = threading.Lock()
        self.add(first)

    def add(self, pid: int) -> None:
        """One more, if it lives."""
        with self._lock, suppress(ProcessLookupError):
            if pid not in self._fds:
                self._fds[pid] = _pidfd(pid)

    def any_alive(self) -> bool:
        with self._lock:
            for pid, fd in list(self._fds.items()):
                if not _alive(pid, fd):
                    del self._fds[pid]
                    if fd is not None:
                        os.close(fd)
            return bool(self._fds)


def _pidfd(pid: int) -> int | None:
    """None where the system has none, or forbids it. Raises ProcessLookupError."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except (OSError, AttributeError):
        return None


def _alive(pid: int, fd: int | None) -> bool:
    if fd is not None:  # readable once the process has ended
        watched = select.poll()  # select() takes small numbers only
        watched.register(fd, select.POLLIN)
        return not watched.poll(0)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def owner_pid() -> int:
    """The executor that this process is a Python worker of; this process itself where it is none's, or where the system
    does not tell."""
    pid = os.getpid()
    for _ in range(_MOST_ANCESTORS):
        try:
            # "4242 (java) S 4200 ...": the name may hold blanks and parentheses.
            head, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
        except OSError:
            break
        if head.partition("(")[2] == _EXECUTOR:
            return pid
        pid = int(rest.split()[1])
        if pid <= 1:
            break
    return os.getpid()
