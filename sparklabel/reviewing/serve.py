"""A review that runs: its port, its journal, its server, the processes beside it; and its end.

In: a call. Out: a link, and at the end a report. The server is there before the table is: rows come when they are
loaded. A notebook's session is used in a thread, a command's in a process of its own.
"""

import asyncio
import platform
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from sparklabel.arguments import check_arguments
from sparklabel.delta.paths import local_as_path
from sparklabel.errors import SetupError, SparklabelError, TableError
from sparklabel.reviewing.journal import Journal
from sparklabel.reviewing.people import read_accounts
from sparklabel.reviewing.ports import listen
from sparklabel.reviewing.report import ReviewReport, review_report
from sparklabel.reviewing.review_call import NONE, PATHS, ReviewCall
from sparklabel.reviewing.review_secret import open_secret
from sparklabel.reviewing.review_state import MakeProbe, ReviewState
from sparklabel.reviewing.table.sides import ProbeSide, TableSide, TableThread
from sparklabel.tasks import Task

MakeTable = Callable[[dict[str, Any], str, Callable[[str], None]], TableSide]


class ReviewApp:
    """A running review, as a context manager that stops it.

    Args:
        call: What is reviewed.
        make_table: What the journal remembers, its id, and what lines about progress are given to -> the table's side.
            Called in another thread: it may take as long as it wants.
        make_probe: A task, and what scores are given to -> its probe; None: there is none.

    Raises:
        SetupError: The port, the journal or the users file cannot be used.
    """

    def __init__(self, call: ReviewCall, make_table: MakeTable, make_probe: MakeProbe | None) -> None:
        try:
            from sparklabel.reviewing.web.app import make_app
            from sparklabel.reviewing.web.server import ServerThread
        except ImportError as error:
            raise SetupError(
                f"The review app needs packages that are not installed: {error}.",
                hint="pip install 'sparklabel[review]'",
            ) from error
        self._report: ReviewReport | None = None
        with ExitStack() as stack:
            accounts = read_accounts(call.users) if call.users else None
            listening = stack.enter_context(listen(call.host, call.port))
            self._journal = stack.enter_context(Journal(call.journal, call.about()))
            secret = open_secret(call.journal)
            self._state = ReviewState(call, self._journal)
            app = make_app(self._state, secret, accounts)
            self._server = ServerThread(app, listening, call.tls_cert, call.tls_key)
            stack.callback(self._server.stop)
            self._closing = stack.pop_all()
        token = None if accounts is not None else secret.token
        self.url = _url(call, listening.getsockname()[1], token)
        self._table: TableSide | None = None
        self._opening: Future[None] = self._server.submit(self._open(make_table, make_probe))

    @property
    def loading(self) -> str | None:
        """What is waited for before people can answer; None once they can."""
        return self._state.loading

    def wait(self, seconds: float) -> None:
        """Waits, and raises what kept the table from being opened."""
        if not self._server.is_running:
            raise SparklabelError("The server of the review ended.")
        if self._opening.done():
            self._opening.result()
            time.sleep(seconds)
        else:
            with suppress(TimeoutError):
                self._opening.result(seconds)

    def ready(self) -> "ReviewApp":
        """Waits until people can answer. Raises what kept the table from being opened."""
        self._opening.result()
        return self

    def flush(self) -> None:
        """Brings all answers into the table. Raises what the table's side raises."""
        self._server.submit(self._state.flush()).result()

    def stop(self) -> ReviewReport:
        """Gives out no more rows, brings all answers into the table, and ends. A second call does nothing more."""
        if self._report is None:
            self._state.is_closing = True
            if self._opening.done() and self._opening.exception() is None:
                self._server.submit(self._state.flush_if_possible()).result()
            self._report = review_report(self._state)
            self.end()
        return self._report

    def end(self) -> None:
        """Ends at once. What the table does not have is in the journal."""
        self._opening.cancel()
        for probe in self._state.probes.values():
            probe.close()
        if self._table is not None:
            self._table.close()
        for close in self._state.closers:
            close()
        self._closing.close()

    def __enter__(self) -> "ReviewApp":
        return self

    def __exit__(self, *error: Any) -> None:
        if self._report is None and error[0] is None:
            self.stop()
        elif self._report is None:
            self.end()

    def _say(self, line: str) -> None:
        """Takes a line about progress, from any thread."""
        with suppress(RuntimeError):  # the server has ended meanwhile
            self._server.submit(self._state.say(line))

    async def _open(self, make_table: MakeTable, make_probe: MakeProbe | None) -> None:
        self._table = await asyncio.to_thread(make_table, self._journal.about, self._journal.id, self._say)
        try:
            await self._state.open(self._table, make_probe)
        except SparklabelError as error:
            self._state.loading = f"The table cannot be reviewed: {error.message}"
            raise
        self._syncing = asyncio.create_task(self._state.keep_synced())


def review(
    spark: Any,
    table: str,
    task: Task | Sequence[Task],
    *,
    key: str | Sequence[str] | None = None,
    **options: Any,
) -> ReviewApp:
    """Opens a review in the browser, for a notebook or a program.

    Args:
        spark: A session that has Delta.
        table: The table.
        task: One task, or several.
        key: The columns that identify a row; the table remembers them after its first pass.
        options: The other attributes of `ReviewCall`.

    Returns:
        The running review: `url` is its link, `flush()` brings the answers into the table, `stop()` ends it and returns
        a report. As a context manager it stops at the end.

    Raises:
        TableError, ColumnError, KeyColumnError: The table cannot be reviewed.
        SetupError: An argument, the port or the journal cannot be used.

    Example:
        ```python
        with sl.review(spark, "tickets", intent, key="id") as app:
            print(app.url)
        ```
    """
    from sparklabel.reviewing.table.worker import TableWorker

    check_arguments("review", [field.name for field in fields(ReviewCall)], options)
    for name in PATHS:
        if isinstance(options.get(name), str):
            options[name] = Path(options[name])
    tasks = (task,) if isinstance(task, Task) else tuple(task)
    keys = (key,) if isinstance(key, str) else tuple(key) if key else None
    call = ReviewCall(table=table, tasks=tasks, key=keys, **options)
    app = ReviewApp(call, lambda about, name, say: TableThread(TableWorker(spark, about, name)), probes(call))
    try:
        return app.ready()
    except BaseException:
        app.end()
        raise


def serve(call: ReviewCall, conf: dict[str, str]) -> ReviewApp:
    """The same for a command: with a table's process, and without waiting for the table. `conf` are Spark settings.

    Raises:
        TableError: The table is given as a folder of this machine, and is not one. Whatever else is wrong with it is
            found when Spark is up, and raised by `ReviewApp.wait`.
    """
    folder = local_as_path(call.table)
    if folder.startswith("/") and not (Path(folder) / "_delta_log").is_dir():
        raise TableError(
            f"There is no Delta table {call.table}.", hint="Give a table's name, or the path of its folder."
        )

    def make_table(about: dict[str, Any], name: str, say: Callable[[str], None]) -> TableSide:
        from sparklabel.reviewing.table.process import TableProcess

        return TableProcess(about, name, conf, on_progress=say)

    return ReviewApp(call, make_table, probes(call))


def probes(call: ReviewCall) -> MakeProbe | None:
    """Makes the live probe of a task; None if there is to be none."""
    if call.features == NONE:
        return None

    def make(task: Task, on_scores: Any) -> ProbeSide:
        from sparklabel.reviewing.probe.process import ProbeProcess

        return ProbeProcess(task.to_dict(), call.features, on_scores=on_scores)

    return make


def _url(call: ReviewCall, port: int, token: str | None) -> str:
    scheme = "https" if call.tls_cert else "http"
    host = platform.node() if call.host in ("0.0.0.0", "::") else call.host
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{port}/" + (f"?token={token}" if token else "")
