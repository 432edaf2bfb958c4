"""SIGTERM, which YARN, Kubernetes and spot instances send seconds before they kill: a program ends as after Ctrl-C.

In: blocks that have something to close. Out: SystemExit in the main thread, so that they close it: runs are ended,
leases given back. A program that has a handler of its own keeps it. Nothing happens in other threads, which get no
signals.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EXIT_STATUS = 128 + signal.SIGTERM


class _Termination:
    """The outermost block. `soft` is called in place of SystemExit the first time."""

    def __init__(self) -> None:
        self.heard = False
        self.soft: Callable[[], None] | None = None

    def hear(self, number: int, frame: object) -> None:
        if self.heard or self.soft is None:
            raise SystemExit(EXIT_STATUS)
        self.heard = True
        self.soft()


_current: _Termination | None = None


@contextmanager
def sigterm_exits() -> Iterator[None]:
    """SIGTERM inside the block raises SystemExit(143), at once or, if a block of `sigterm_waits` is open, at the end of
    the outermost block."""
    global _current
    is_main = threading.current_thread() is threading.main_thread()
    if _current or not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    _current = found = _Termination()
    signal.signal(signal.SIGTERM, found.hear)
    try:
        yield
    finally:
        _current = None
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if found.heard:
        raise SystemExit(EXIT_STATUS)


@contextmanager
def sigterm_waits(act: Callable[[], None]) -> Iterator[None]:
    """The first SIGTERM inside the block calls `act`, and the block goes on; another one ends the program."""
    if _current is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    before, _current.soft = _current.soft, act
    try:
        yield
    finally:
        _current.soft = before
