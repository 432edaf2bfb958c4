"""Reviews for a browser: rows in memory, the real app and journal, a real server on a port of its own."""

import asyncio
import json
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

import sparklabel as sl
from sparklabel.reviewing.journal import Journal
from sparklabel.reviewing.records import ReviewRow, RowLabel
from sparklabel.reviewing.review_call import ReviewCall
from sparklabel.reviewing.review_secret import open_secret
from sparklabel.reviewing.review_state import ReviewState
from sparklabel.reviewing.table.memory_table import MemoryTable
from sparklabel.reviewing.web.app import make_app
from sparklabel.tasks import Task

TONE = sl.classification(
    "tone", inputs="text", labels={"good": "the writer is content", "bad": "the writer complains"},
    instructions="How does the writer feel?",
)  # fmt: skip


def text_row(
    number: int, *inputs: str | None, value: Any = None, is_blind: bool = False, **label: Any
) -> ReviewRow:
    """A row whose label a model said; without `value` the row has none."""
    given = {"status": "ok", "source": "model", "model": "m1", "confidence": 0.8} | label
    return ReviewRow(
        input_hash=f"row-{number}", key=json.dumps({"id": number}), inputs=inputs, is_held_out=is_blind,
        label=RowLabel() if value is None else RowLabel(value=value, model_value=value, **given),
    )  # fmt: skip


def tone_rows(count: int, **fields: Any) -> list[ReviewRow]:
    """good, bad, good, ..."""
    values = ("good", "bad")
    return [
        text_row(
            n, f"text number {n}", value=values[n % 2],
            alternatives=((values[n % 2], 0.8), (values[1 - n % 2], 0.2)), **fields,
        )
        for n in range(count)
    ]  # fmt: skip


@dataclass
class Review:
    """A review that is served."""

    url: str
    token: str
    state: ReviewState
    table: MemoryTable

    @property
    def link(self) -> str:
        return f"{self.url}/?token={self.token}"

    @property
    def answers(self) -> dict[str, Any]:
        """The last answer to each row, from the journal on disk."""
        return {e.input_hash: e.value for e in self.state.journal.events() if e.kind == "answer"}

    @property
    def kinds(self) -> list[str]:
        """What was done, in order."""
        return [event.kind for event in self.state.journal.events()]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def served(
    folder: Path,
    task: Task = TONE,
    rows: Sequence[ReviewRow] | None = None,
    make_probe: Any = None,
    **options: Any,
) -> Iterator[Review]:
    """A review that a thread serves. Rows that are blind come first, and only where there are some. `make_probe` is as
    `ReviewState.open` takes it."""
    rows = tone_rows(60) if rows is None else rows
    share = float(any(row.is_held_out for row in rows))
    given = {"audit_share": share, "judges": 10_000, "port": free_port()} | options
    call = ReviewCall(table="t", tasks=(task,), journal=folder / "review.db", **given)
    table = MemoryTable({task.name: rows})
    with Journal(call.journal, call.about()) as journal:
        secret, state = open_secret(call.journal), ReviewState(call, journal)
        server = uvicorn.Server(
            uvicorn.Config(make_app(state, secret), port=call.port, log_level="warning", lifespan="off")
        )
        started = threading.Event()
        thread = threading.Thread(
            target=lambda: asyncio.run(_serve(server, state, table, started, make_probe))
        )
        thread.start()
        assert started.wait(20), "the server did not start"
        try:
            yield Review(f"http://127.0.0.1:{call.port}", secret.token, state, table)
        finally:
            for probe in state.probes.values():
                probe.close()
            server.should_exit = server.force_exit = True
            thread.join(20)


async def _serve(
    server: uvicorn.Server, state: ReviewState, table: MemoryTable, started: threading.Event, make_probe: Any
) -> None:
    await state.open(table, make_probe)
    syncing = asyncio.create_task(state.keep_synced())
    serving = asyncio.create_task(server.serve())
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    started.set()
    await serving
    syncing.cancel()
    with suppress(asyncio.CancelledError):
        await syncing


def main() -> None:
    """`python -m tests.browser.reviews FOLDER PORT`: a process to kill. Prints the link once it serves."""
    with served(Path(sys.argv[1]), port=int(sys.argv[2])) as review:
        print(review.link, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
