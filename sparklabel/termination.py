"""Ctrl-C and SIGTERM. The latter is what YARN, Kubernetes and spot instances send seconds before they kill: a program
ends as after Ctrl-C. Where work is under way, the first of either lets it come to a good end.

In: blocks that have something to close. Out: SystemExit in the main thread, so that they close it: runs are ended,
leases given back. A program that has a handler of its own keeps it. Nothing happens in other threads, which get no
signals.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

EXIT_STATUS = 128 + signal.SIGTERM
_GRACE_SECONDS = 10.0
"""How long work may go on after SIGTERM. Kubernetes kills 30 seconds after it, and a MERGE comes first."""


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


class FirstInterrupt:
    """Remembers the first Ctrl-C in `heard`, so that what is under way can be finished; the second one raises
    KeyboardInterrupt as usual. SIGTERM is heard too, and what is under way then has a few seconds. Does nothing in
    threads that get no signals.

    Args:
        say: Called with a line for the user, once.
        work: What is under way, as the line says it: "the current chunk".
        finish: What is still done with it: "finishing and writing".
    """

    def __init__(self, say: Callable[[str], None], work: str, finish: str) -> None:
        self.heard, self._say = False, say
        self.exit: BaseException = KeyboardInterrupt()
        """What ends the program as it was asked to end, for who does not go on after the work under way."""
        self._work, self._finish = work, finish
        self._before: Any = None
        self._waiting = sigterm_waits(self._terminate)
        self._grace = threading.Timer(_GRACE_SECONDS, self._hurry)
        self._grace.daemon = True

    def __enter__(self) -> "FirstInterrupt":
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._hear)
        self._waiting.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._grace.cancel()
        self._waiting.__exit__(*error)
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _terminate(self) -> None:
        self.heard, self.exit = True, SystemExit(EXIT_STATUS)
        self._say(f"terminated: {self._finish} {self._work}, which has {_GRACE_SECONDS:.0f} s")
        self._grace.start()

    def _hurry(self) -> None:
        # To the main thread, which waits in a call to the JVM.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def _hear(self, number: int, frame: object) -> None:
        if self.heard:
            raise KeyboardInterrupt
        self.heard = True
        self._say(f"interrupted: {self._finish} {self._work}; press Ctrl-C again to stop at once")
