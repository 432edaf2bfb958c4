"""The processes that a server works for.

In: process numbers. Out: whether any of these processes lives. A number that the system has given to a new process is
not mistaken for the old one.
"""

import os
import threading
from contextlib import suppress

import psutil

_EXECUTOR = "java"


class ClientProcesses:
    """At least one process, and those that joined later. Several threads may use it."""

    def __init__(self, first: int) -> None:
        self._processes: dict[int, psutil.Process] = {}
        self._lock = threading.Lock()
        self.add(first)

    def add(self, pid: int) -> None:
        """Adds a process, if it lives."""
        with self._lock, suppress(psutil.NoSuchProcess):
            known = self._processes.get(pid)
            if known is None or not known.is_running():
                self._processes[pid] = psutil.Process(pid)

    def any_alive(self) -> bool:
        with self._lock:
            self._processes = {pid: one for pid, one in self._processes.items() if _is_alive(one)}
            return bool(self._processes)


def _is_alive(process: psutil.Process) -> bool:
    """Whether it runs still. One that has ended and was not waited for (a zombie) does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.AccessDenied:  # it is there, and another user's
        return True
    except psutil.NoSuchProcess:
        return False


def owner_pid() -> int:
    """The executor that this process is a Python worker of; this process itself if no ancestor is an executor."""
    with suppress(psutil.Error):
        for ancestor in psutil.Process().parents():
            if ancestor.name() == _EXECUTOR:
                return ancestor.pid
    return os.getpid()
