"""What the user is told while long work runs: progress on stderr, notes and warnings through `logging`.

In: counts of work done, and lines. Out: a bar on a terminal and a line now and then elsewhere; records of the logger
"sparklabel". The package adds no handler of its own, not even a NullHandler: in a program that configures no logging,
Python then prints warnings to stderr. Only the command line calls `log_to_stderr`.
"""

import logging
import sys
import time
from functools import lru_cache

from rich.console import Console
from rich.highlighter import NullHighlighter
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sparklabel.redaction import printable, printable_lines

LOG = logging.getLogger("sparklabel")
CHUNKS = "sparklabel.pass"
"""The logger of the JSON lines that a pass logs, one a chunk, at level INFO: for programs to read."""

_LINE_SECONDS = 10.0


class WorkProgress:
    """Counts work done, out of `total`. Use as a context manager; `shown=False` makes it silent."""

    def __init__(self, title: str, total: int, shown: bool = True, note: str = "") -> None:
        title = printable(title)
        self._title, self._total, self._note = title, total, note
        self._done, self._started = 0, time.monotonic()
        self._last_line = self._started
        console = stderr_console()
        self._lines = shown and not console.is_terminal
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed:,}/{task.total:,}"),
        )
        self._bar = Progress(
            *columns, TextColumn("{task.fields[note]}"), TimeElapsedColumn(), TimeRemainingColumn(), console=console,
            disable=not shown or self._lines,
        )  # fmt: skip
        self._task = self._bar.add_task(title, total=total, note=note)

    def __enter__(self) -> "WorkProgress":
        self._bar.start()
        if self._lines and self._total:
            print(f"{self._title}: {self._note or 'started'}", file=sys.stderr, flush=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def resize(self, total: int) -> None:
        """Sets the total, once it is known."""
        self._total = total
        self._bar.update(self._task, total=total)

    def advance(self, done: int, note: str = "") -> None:
        """Adds `done` to the count. The note is shown beside it; by default it is the rate."""
        self._done += done
        now = time.monotonic()
        note = printable(note) or f"{self._done / max(now - self._started, 1e-9):,.1f}/s"
        self._bar.update(self._task, advance=done, note=note)
        if self._lines and (now - self._last_line > _LINE_SECONDS or self._done >= self._total):
            self._last_line = now
            print(f"{self._title}: {self._done:,} of {self._total:,} ({note})", file=sys.stderr, flush=True)


def tell(line: str) -> None:
    """Logs what a user should know now and may have to act on, as a warning of the logger "sparklabel"."""
    LOG.warning(printable_lines(line))


def note(line: str) -> None:
    """Logs what is good to know and needs nobody to act."""
    LOG.info(printable_lines(line))


@lru_cache(maxsize=1)
def stderr_console() -> Console:
    """The one console on stderr: lines that it prints go above a progress bar that it draws."""
    return Console(stderr=True)


def log_to_stderr() -> None:
    """Shows notes and warnings of the logger "sparklabel" on stderr, each once however often this is called. The JSON
    lines of chunks are left out."""
    if any(isinstance(handler, _TerminalHandler | _LineHandler) for handler in LOG.handlers):
        return
    handler = _TerminalHandler() if stderr_console().is_terminal else _LineHandler()
    handler.setFormatter(PrintableFormatter("%(message)s"))
    handler.addFilter(lambda record: record.name != CHUNKS)
    LOG.addHandler(handler)
    LOG.propagate = False  # a library may have given the root logger a handler: each note would come twice
    if not LOG.level:
        LOG.setLevel(logging.INFO)


class PrintableFormatter(logging.Formatter):
    """Escapes control characters, those of an error's traceback too: it may quote a row."""

    def format(self, record: logging.LogRecord) -> str:
        return printable_lines(super().format(record))


class _TerminalHandler(RichHandler):
    def __init__(self) -> None:
        super().__init__(
            console=stderr_console(), show_time=False, show_path=False, highlighter=NullHighlighter(), keywords=[]
        )  # fmt: skip


class _LineHandler(logging.Handler):
    """Where stderr is not a terminal: rich would wrap and pad lines to a width that a file does not have."""

    def emit(self, record: logging.LogRecord) -> None:
        print(f"{record.levelname.lower()}: {self.format(record)}", file=sys.stderr, flush=True)
