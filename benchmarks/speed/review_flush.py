"""How long people's answers take into the table: 500 answers into 100,000 labeled rows.

    python -m benchmarks.speed.review_flush [--rows 100000] [--answers 500] [--rounds 3] [--deletion-vectors]
        [--into] [--writer-seconds 0] [--flush-every 60]

A real Delta table on disk, labeled by a pass of the fake engine. A round appends answers to random rows to the answers
table, and writes them into the labels. The first round also makes what is missing, and is not counted.

With `--writer-seconds`, somebody then updates a row by SQL every two seconds, for so long, while answers are written
every `--flush-every` seconds; how many of these UPDATEs failed is counted, and how many MERGEs: their answers come with
the next one.
"""

import statistics
import tempfile
import threading
import time
import uuid
from argparse import Namespace
from datetime import UTC, datetime
from typing import Any

import numpy as np

import sparklabel as sl
from benchmarks.harness import argument_parser, figure_table, finish
from sparklabel.errors import ConflictError
from sparklabel.labels.record import input_hash
from sparklabel.reviewing.records import ANSWER, Event
from sparklabel.reviewing.table.worker import TableWorker
from sparklabel.tasks import Classification

_TABLE = "tickets"
_LABELS = [f"intent_{number}" for number in range(77)]
_TASK = Classification.build(name="intent", inputs=("text",), labels=_LABELS)


_TEXT = "My card number {} has not come, though I ordered it two weeks ago. Where is it?"


def make_table(folder: str, arguments: Namespace) -> Any:
    spark = sl.spark_session(
        {"spark.master": "local[2]", "spark.sql.warehouse.dir": folder, "spark.ui.enabled": "false"}
    )
    text = "concat('" + _TEXT.replace("{}", "', id, '") + "')"
    properties = (
        f"TBLPROPERTIES ('delta.enableDeletionVectors' = '{str(arguments.deletion_vectors).lower()}')"
    )
    spark.sql(
        f"CREATE TABLE {_TABLE} USING DELTA {properties} AS "
        f"SELECT id, {text} AS text FROM range(0, {arguments.rows}, 1, 8)"
    )
    sl.label_table(spark, _TABLE, _TASK, key="id", model="m", engine="fake", into=into(arguments))
    return spark


def events_of(rows: list[int], after: int) -> list[Event]:
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    return [
        Event(
            event_id=uuid.uuid4().hex, task=_TASK.name, key=f'{{"id": {row}}}', kind=ANSWER, reviewer="ann",
            input_hash=input_hash([_TEXT.format(row).encode()]), value=_LABELS[row % 77], reason="queue", seconds=1.0,
            task_fingerprint=_TASK.fingerprint, model="m", answered_at=at, seq=after + number,
        )
        for number, row in enumerate(rows, 1)
    ]  # fmt: skip


def measured(arguments: Namespace, folder: str) -> dict[str, list[float]]:
    spark = make_table(folder, arguments)
    about = {"table": _TABLE, "tasks": [_TASK.to_dict()], "key": ["id"], "into": into(arguments)}
    worker, random = TableWorker(spark, about, "journal"), np.random.default_rng(0)
    order = random.permutation(arguments.rows).tolist()
    found: dict[str, list[float]] = {"append": [], "merge": []}
    updates, waiting, lost = list[bool](), list[str](), 0
    ended_writing, writer = (
        threading.Event(),
        threading.Thread(target=lambda: update(spark, ended_writing, updates)),
    )
    flushes = int(arguments.writer_seconds // arguments.flush_every)
    for number in range(1 + arguments.rounds + flushes):
        if number > arguments.rounds:
            if not writer.ident:
                writer.start()
            time.sleep(arguments.flush_every)
        start = number * arguments.answers
        events = events_of(order[start : start + arguments.answers], start)
        waiting += [event.input_hash for event in events]
        begun = time.perf_counter()
        worker.append(_TASK.name, events)
        appended = time.perf_counter()
        try:
            merged = worker.merge(_TASK.name, waiting)
        except ConflictError as error:
            lost += 1
            print(error.message, flush=True)
        else:
            assert merged.written == len(waiting), merged
            waiting.clear()
        ended = time.perf_counter()
        found["append"].append(appended - begun)
        found["merge"].append(ended - appended)
        print(f"append {appended - begun:.1f} s, merge {ended - appended:.1f} s", flush=True)
    if writer.ident:
        ended_writing.set()
        writer.join()
        print(
            f"{updates.count(False)} of {len(updates)} UPDATEs failed beside {flushes} merges, {lost} of which did too",
            flush=True,
        )
    spark.stop()
    return {name: times[1 : 1 + arguments.rounds] for name, times in found.items()}


def into(arguments: Namespace) -> str | None:
    return f"{_TABLE}_labels" if arguments.into else None


def update(spark: Any, ended: threading.Event, outcomes: list[bool]) -> None:
    """Somebody who writes by SQL, a row every two seconds; whether each UPDATE succeeded."""
    while not ended.wait(2):
        try:
            spark.sql(f"UPDATE {_TABLE} SET text = text WHERE id = {len(outcomes)}").collect()
            outcomes.append(True)
        except Exception as error:  # noqa: BLE001 a conflict, as the person would see it
            print(str(error).splitlines()[0][:100], flush=True)
            outcomes.append(False)


def main() -> None:
    parser = argument_parser(__doc__, rows=100_000, rounds=3)
    parser.add_argument("--answers", type=int, default=500, help="of each round")
    parser.add_argument("--deletion-vectors", action="store_true", help="a table that has them")
    parser.add_argument("--into", action="store_true", help="labels in a table of their own")
    parser.add_argument(
        "--writer-seconds", type=float, default=0.0, help="how long somebody writes beside by SQL"
    )
    parser.add_argument("--flush-every", type=float, default=60.0, help="seconds between two merges then")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measured(arguments, folder)
    title = f"{arguments.answers:,} answers into {arguments.rows:,} rows, seconds"
    table = figure_table(title, "step", "median", "each round")
    for name, times in figures.items():
        table.add_row(name, f"{statistics.median(times):.1f}", " ".join(f"{one:.1f}" for one in times))
    finish(arguments, table, figures)


if __name__ == "__main__":
    main()
