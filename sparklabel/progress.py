"""Progress of long work on stderr: a bar on a terminal, a line now and then elsewhere."""

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_LINE_SECONDS = 10.0


class WorkProgress:
    """Counts work done, out of `total`. Use as a context manager; `shown=False` makes it silent."""

    def __init__(self, title: str, total: int, shown: bool = True, note: str = "") -> None:
        self._title, self._total, self._note = title, total, note
        self._done, self._started = 0, time.monotonic()
        self._said = self._started
        console = Console(stderr=True)
        self._lines = shown and not console.is_terminal
        columns = (
            TextColumn("{task.description}"),
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
        """Says how much there is, once that is known."""
        self._total = total
        self._bar.update(self._task, total=total)

    def advance(self, done: int, note: str = "") -> None:
        """`done` more, with a note to show beside the count: the rate, unless something else is said."""
        self._done += done
        now = time.monotonic()
        note = note or f"{self._done / max(now - self._started, 1e-9):,.1f}/s"
        self._bar.update(self._task, advance=done, note=note)
        if self._lines and (now - self._said > _LINE_SECONDS or self._done >= self._total):
            self._said = now
            print(f"{self._title}: {self._done:,} of {self._total:,} ({note})", file=sys.stderr, flush=True)


def tell(line: str) -> None:
    """To the user, beside the progress bar."""
    print(line, file=sys.stderr, flush=True)
