"""Progress of a pass: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_LINE_SECONDS = 10.0


class PassProgress:
    """Counts answered inputs on stderr. Use as a context manager; `shown=False` makes it silent."""

    def __init__(self, title: str, total: int, shown: bool = True) -> None:
        self._title, self._total, self._done = title, total, 0
        self._started = self._said = time.monotonic()
        console = Console(stderr=True)
        self._say: Callable[[str], None] | None = None
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        if shown and console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,}/{task.total:,}"))
            rate = TextColumn("{task.fields[rate]}")
            self._bar = Progress(*columns, rate, TimeElapsedColumn(), TimeRemainingColumn(), console=console)
            self._task = self._bar.add_task(title, total=total, rate="starting the model")
        elif shown:
            self._say = lambda line: print(line, file=sys.stderr, flush=True)

    def __enter__(self) -> "PassProgress":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, inputs: int) -> None:
        """`inputs` more were answered and are safe in staging."""
        self._done += inputs
        now = time.monotonic()
        rate = f"{self._done / max(now - self._started, 1e-9):,.1f}/s"
        if self._bar and self._task is not None:
            self._bar.update(self._task, advance=inputs, rate=rate)
        elif self._say and (now - self._said > _LINE_SECONDS or self._done >= self._total):
            self._said = now
            self._say(f"{self._title}: {self._done:,} of {self._total:,} ({rate})")
