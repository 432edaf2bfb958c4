"""The table's side of a review in a process of its own: the server has no JVM, and goes on when Spark dies.

In: requests, as `sides.TableSide` has them. Out: futures. One request at a time is done, in order. The process starts
with the first request, and again with the next one if it ended; after ten idle minutes it is ended. It keeps nothing
that the table and the journal do not have.
"""

import queue
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from sparklabel.errors import SparklabelError
from sparklabel.redaction import typed_line
from sparklabel.reviewing.insight.quality import JudgedLabel
from sparklabel.reviewing.records import Event, ReviewRow
from sparklabel.reviewing.table.sides import MergeResult

_IDLE_SECONDS = 600.0
_READS = ("check", "load", "current", "hidden_states_model", "hidden_states", "past", "judged")
_READ_ATTEMPTS = 3
"""What only reads is asked again if the process ends meanwhile: a review that is being opened goes on. What writes is
told: whoever asked knows best when to try again."""
_END_SECONDS = 20.0
"""For Spark to stop; then the process is killed."""


class TableProcessEnded(SparklabelError):
    """The process that has Spark ended during a request. The next request starts another one."""

    retryable = True


@dataclass(frozen=True, slots=True)
class _Request:
    """The name of a method of `TableWorker`, and its arguments."""

    method: str
    arguments: tuple[Any, ...]
    result: "Future[Any]" = field(default_factory=Future)


class TableProcess:
    """A `TableWorker` in another process.

    Args:
        about, journal_id: As for `TableWorker`.
        conf: Spark settings of its session.
        on_progress: Called with a line about what it does, in a thread of this object's.
        idle_seconds: After so long without a request the process is ended.
    """

    def __init__(
        self,
        about: Mapping[str, Any],
        journal_id: str,
        conf: Mapping[str, str] | None = None,
        *,
        on_progress: Callable[[str], None] = lambda line: None,
        idle_seconds: float = _IDLE_SECONDS,
    ) -> None:
        self._about, self._journal, self._conf = dict(about), journal_id, dict(conf or {})
        self._on_progress, self._idle = on_progress, idle_seconds
        self._requests: queue.Queue[_Request | None] = queue.Queue()
        self._child: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._is_closed = self._is_busy = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="table", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """Of the process; None while there is none."""
        return self._child.pid if self._child else None

    def check(self) -> "Future[None]":
        return self._ask("check")

    def load(self, task: str, rows: int, where: str | None = None) -> "Future[list[ReviewRow]]":
        return self._ask("load", task, rows, where)

    def current(self, task: str, hashes: Sequence[str]) -> "Future[dict[str, ReviewRow]]":
        return self._ask("current", task, list(hashes))

    def hidden_states_model(self, task: str) -> "Future[str]":
        return self._ask("hidden_states_model", task)

    def hidden_states(self, task: str, model: str, hashes: Sequence[str]) -> "Future[dict[str, bytes]]":
        return self._ask("hidden_states", task, model, list(hashes))

    def append(self, task: str, events: Sequence[Event]) -> "Future[int]":
        return self._ask("append", task, list(events))

    def merge(self, task: str, hashes: Sequence[str] | None = None) -> "Future[MergeResult]":
        return self._ask("merge", task, None if hashes is None else list(hashes))

    def past(self, task: str) -> "Future[list[Event]]":
        return self._ask("past", task)

    def judged(self, task: str) -> "Future[list[JudgedLabel]]":
        return self._ask("judged", task)

    def close(self) -> None:
        """Ends it. A request that is under way is lost, as are those that wait. A second call does nothing."""
        with self._lock:
            self._is_closed = True
            self._requests.put(None)
            if self._child is not None and self._is_busy:
                self._child.terminate()
        self._thread.join()

    def __enter__(self) -> "TableProcess":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def _ask(self, method: str, *arguments: Any) -> "Future[Any]":
        request = _Request(method, arguments)
        with self._lock:
            if self._is_closed:
                request.result.set_exception(TableProcessEnded("The review has ended."))
            else:
                self._requests.put(request)
        return request.result

    def _run(self) -> None:
        """What the thread does until `close`."""
        while not self._is_closed:
            try:
                request = self._requests.get(timeout=self._idle if self._child else None)
            except queue.Empty:
                self._end()
                continue
            if request is not None and request.result.set_running_or_notify_cancel():
                self._do(request)
        while not self._requests.empty():
            if (left := self._requests.get()) is not None and left.result.set_running_or_notify_cancel():
                left.result.set_exception(TableProcessEnded("The review has ended."))
        self._end()

    def _do(self, request: _Request) -> None:
        with self._lock:
            self._is_busy = True
        try:
            found = self._answer(request)
        except (EOFError, OSError):
            self._end()
            found = TableProcessEnded(
                "The process that has Spark ended while it worked.",
                hint="No answer is lost: it is started again, and goes on where the table is.",
            )
        except Exception as error:  # noqa: BLE001 whoever asked must hear of it, and the thread goes on
            found = error
        with self._lock:
            self._is_busy = False
        if isinstance(found, Exception):
            request.result.set_exception(found)
        else:
            request.result.set_result(found)

    def _answer(self, request: _Request) -> Any:
        """The result or the error that the process gives. Raises EOFError or OSError if it ends, again and again if the
        request only reads."""
        for _ in range(_READ_ATTEMPTS - 1 if request.method in _READS else 0):
            with suppress(EOFError, OSError):
                return self._asked(request)
            self._end()
        return self._asked(request)

    def _asked(self, request: _Request) -> Any:
        if self._connection is not None and self._connection.poll():  # nothing is asked: it has ended
            self._end()
        connection = self._connection or self._start()
        connection.send((request.method, request.arguments))
        while isinstance(said := connection.recv(), _Progress):
            self._on_progress(said.line)
        return said

    def _start(self) -> Connection:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        with self._lock:
            if self._is_closed:
                raise EOFError
            arguments = (theirs, self._about, self._journal, self._conf)
            self._child = context.Process(
                target=serve_table, args=arguments, name="sparklabel table", daemon=True
            )
            self._child.start()
        theirs.close()  # or nobody would hear of its end
        self._connection = ours
        return ours

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._child is not None:
            self._child.join(_END_SECONDS)
            self._child.kill()
            self._child.join()
        self._child = self._connection = None


@dataclass(frozen=True, slots=True)
class _Progress:
    line: str


def serve_table(
    connection: Connection, about: Mapping[str, Any], journal_id: str, conf: Mapping[str, str]
) -> None:
    """What the process does until its parent closes the connection, or is gone, or until Spark is."""
    # Ctrl-C ends the server, which ends this process when all is saved.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, OSError):
        first = connection.recv()
        connection.send(_Progress("Spark is starting"))
        from sparklabel.delta.session import is_gone, spark_session
        from sparklabel.reviewing.table.worker import TableWorker

        try:
            spark = spark_session(conf)
            worker = TableWorker(spark, about, journal_id)
        except SparklabelError as error:
            connection.send(error)
            return
        with suppress(EOFError, OSError):
            request = first
            while True:
                connection.send(_Progress(PROGRESS_LINES[request[0]]))
                found = _done(worker, request)
                if isinstance(found, Exception) and is_gone(spark):
                    return  # the end of the connection tells it, and the next request starts another process
                connection.send(found)
                request = connection.recv()
        spark.stop()


def _done(worker: Any, request: tuple[str, tuple[Any, ...]]) -> Any:
    """The result or the error."""
    method, arguments = request
    try:
        return getattr(worker, method)(*arguments)
    except SparklabelError as error:
        return error
    except Exception as error:  # noqa: BLE001 an error of Spark's cannot travel between processes
        return SparklabelError(typed_line(error))


PROGRESS_LINES = {
    "check": "The table is opened",
    "load": "Rows are read",
    "current": "Rows are read",
    "hidden_states_model": "Kept features are read",
    "hidden_states": "Kept features are read",
    "append": "Answers are appended",
    "merge": "Answers are written into the table",
    "past": "Earlier answers are read",
    "judged": "Answered rows are read",
}
"""What is said while a request is worked on, by the method of `TableSide`."""
