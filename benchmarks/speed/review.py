"""How long people wait for the review app: ten of them answer for a minute, over real HTTP, on 100,000 rows.

A server process has generated rows in memory, and a real journal on disk; no Spark and no probe. Each person has a
connection, twenty rows ahead, and answers at a steady rate, as the browser does: one request an answer. Measured are
the acknowledgement of an answer, which is on disk then, and a request for more rows. Checked is that no row was given
to two people but for those that two are to be asked, and that every answer is in the journal once.

    python -m benchmarks.speed.review --people 10 --seconds 60 --per-second 8
"""

import asyncio
import collections
import multiprocessing
import tempfile
import time
from argparse import Namespace
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import psutil

from benchmarks.harness import argument_parser, figure_table, finish
from sparklabel.reviewing.asking.queue import asked_twice
from sparklabel.reviewing.journal import Journal
from sparklabel.reviewing.records import ReviewRow, RowLabel
from sparklabel.reviewing.review_call import ReviewCall
from sparklabel.reviewing.serve import ReviewApp
from sparklabel.reviewing.table.memory_table import MemoryTable
from sparklabel.splits import is_held_out
from sparklabel.tasks import classification

_LABELS = [f"intent_{number}" for number in range(77)]
_AHEAD, _REFILL_AT = 20, 8
_OURS = {"X-Sparklabel": "1", "Sec-Fetch-Site": "same-origin"}
_WORDS = [
    "card",
    "payment",
    "transfer",
    "refund",
    "limit",
    "account",
    "pending",
    "cash",
    "fee",
    "rate",
    "pin",
]


@dataclass
class Person:
    """What one of them met."""

    answers: list[float] = field(default_factory=list)
    refills: list[float] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    waits: int = 0


def generated_rows(count: int) -> list[ReviewRow]:
    """Rows of twenty words, each with a label of 77 and five alternatives."""
    random = np.random.default_rng(0)
    words = random.choice(_WORDS, (count, 20))
    best = random.integers(0, len(_LABELS), (count, 5))
    return [_row(number, words[number].tolist(), best[number].tolist()) for number in range(count)]


def _row(number: int, words: list[str], best: list[int]) -> ReviewRow:
    inputs = (" ".join([*words, str(number)]),)
    alternatives = tuple((_LABELS[label], 0.5 / (place + 1)) for place, label in enumerate(best))
    label = RowLabel(
        value=_LABELS[best[0]], model_value=_LABELS[best[0]], confidence=0.5, alternatives=alternatives, status="ok",
        model="generated", source="model",
    )  # fmt: skip
    held_out = is_held_out(inputs)
    return ReviewRow(
        input_hash=f"{number:064x}",
        key=f'{{"id":{number}}}',
        inputs=inputs,
        is_held_out=held_out,
        label=label,
    )


def serve(connection: Connection, folder: Path, rows: int) -> None:
    """What the server's process does: says its link, then how much memory it takes, until it is told to end."""
    table = MemoryTable({"intent": generated_rows(rows)})
    task = classification("intent", inputs="text", labels=_LABELS)
    call = ReviewCall(
        table="t", tasks=(task,), journal=folder / "review.db", port=0, rows=rows, flush_every=20.0
    )
    with ReviewApp(call, lambda about, name, say: table, None) as app:
        connection.send(app.ready().url)
        connection.recv()
        connection.send(psutil.Process().memory_info().rss / 2**20)
        connection.recv()


async def annotate(url: str, name: str, seconds: float, per_second: float) -> Person:
    """One person's minute."""
    found, ahead = Person(), collections.deque[str]()
    token = url.rpartition("=")[2]
    async with httpx2.AsyncClient(
        base_url=url.partition("?")[0].rstrip("/"), headers=_OURS, timeout=30
    ) as browser:
        await browser.get("/", params={"token": token})
        await browser.post("/name", json={"name": name})
        end, due, number = time.perf_counter() + seconds, time.perf_counter(), 0
        while time.perf_counter() < end:
            if len(ahead) < _REFILL_AT:
                found.waits += not ahead and number > 0
                await _refill(browser, found, ahead)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            due, number = due + 1 / per_second, number + 1
            await _answer(browser, found, ahead, f"{name}-{number}")
    return found


async def _refill(browser: httpx2.AsyncClient, person: Person, ahead: collections.deque[str]) -> None:
    body = {"have": list(ahead), "count": _AHEAD - len(ahead)}
    started = time.perf_counter()
    rows = (await browser.post("/api/intent/next", json=body)).json()["rows"]
    person.refills.append(time.perf_counter() - started)
    person.rows += [row["id"] for row in rows]
    ahead += [row["id"] for row in rows]


async def _answer(
    browser: httpx2.AsyncClient, person: Person, ahead: collections.deque[str], name: str
) -> None:
    event = {"event_id": name, "id": ahead.popleft(), "kind": "answer", "value": _LABELS[0], "seconds": 1.0}
    started = time.perf_counter()
    answer = await browser.post("/api/intent/events", json={"events": [event], "have": list(ahead)})
    person.answers.append(time.perf_counter() - started)
    assert answer.json()["outcomes"][0]["outcome"] == "kept", answer.text


async def _everybody(url: str, arguments: Namespace) -> list[Person]:
    names = (f"person-{number}" for number in range(arguments.people))
    return await asyncio.gather(
        *(annotate(url, name, arguments.seconds, arguments.per_second) for name in names)
    )


def measure(arguments: Namespace) -> dict[str, Any]:
    """The figures."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = context.Pipe()
        server = context.Process(target=serve, args=(theirs, Path(folder), arguments.rows))
        server.start()
        people = asyncio.run(_everybody(ours.recv(), arguments))
        ours.send("memory")
        memory = ours.recv()
        ours.send("end")
        server.join()
        with Journal(Path(folder) / "review.db") as journal:
            kept = [event.event_id for event in journal.events()]
    given = collections.Counter(row for person in people for row in set(person.rows))
    answers = [wait for person in people for wait in person.answers]
    return {
        "answers": len(answers), "in_journal": len(kept), "distinct": len(set(kept)),
        "acknowledged_ms": _percentiles(answers),
        "rows_ms": _percentiles([wait for person in people for wait in person.refills]),
        "waits_for_rows": sum(person.waits for person in people),
        "given_to_two": sum(count > 1 for count in given.values()),
        "wrongly_given_to_two": sum(count > 1 and not asked_twice(row, 0.1) for row, count in given.items()),
        "server_mib": round(memory, 1),
    }  # fmt: skip


def _percentiles(seconds: list[float]) -> dict[str, float]:
    return {f"p{share}": round(float(np.percentile(seconds, share)) * 1000, 2) for share in (50, 95, 99, 100)}


def main() -> None:
    parser = argument_parser(__doc__, rows=100_000)
    parser.add_argument("--people", type=int, default=10, help="how many answer (10 by default)")
    parser.add_argument("--seconds", type=float, default=60, help="for how long (60 by default)")
    parser.add_argument(
        "--per-second", type=float, default=8, help="answers of each in a second (8 by default)"
    )
    arguments = parser.parse_args()
    figures = measure(arguments)
    table = figure_table("Review app", "ms", "p50", "p95", "p99", "most")
    for title, name in (("an answer acknowledged", "acknowledged_ms"), ("rows ahead", "rows_ms")):
        table.add_row(title, *(f"{value:.1f}" for value in figures[name].values()))
    finish(arguments, table, figures)
    for name, value in figures.items():
        if not isinstance(value, dict):
            print(f"{name}: {value:,}")


if __name__ == "__main__":
    main()
