"""The review screen under a fast annotator: from a key to the next row painted, in a real browser.

    python -m benchmarks.speed.review_keys [--rows 100000] [--keys 300] [--a-second 8] [--others 9] [--labels 77]
        [--probe]

A server process holds the rows in memory, and a journal on disk. A browser answers at a steady pace, while others
answer a row a second each. The time of a key runs from the browser's own time stamp of it to the first task after the
frame that shows another row. Blind rows are skipped: Enter has nothing to take there. With `--probe` the live probe
reads the rows and learns from all these answers meanwhile. No table is written.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import requests

from benchmarks.harness import argument_parser, figure_table, finish
from sparklabel.demo.browser import chromium, sign_in

_OURS = {"X-Sparklabel": "1", "Sec-Fetch-Site": "same-origin"}
_WATCH = """
window.painted = [];
document.addEventListener("keydown", (event) => {
  const before = document.querySelector("#row-title").textContent;
  requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      const now = document.querySelector("#row-title").textContent;
      window.painted.push([performance.now() - event.timeStamp, now !== before && now.startsWith("id ")]);
    };
    port2.postMessage(0);
  });
}, true);
"""


def serve(folder: Path, arguments: Namespace) -> None:
    """What the server's process does: prints the link, and serves until its input ends."""
    from sparklabel.reviewing.probe.process import ProbeProcess
    from sparklabel.reviewing.records import ReviewRow, RowLabel
    from sparklabel.splits import is_held_out
    from sparklabel.tasks import Classification
    from tests.browser.reviews import served

    rows, labels = arguments.rows, arguments.labels
    names = [f"label_{number}" for number in range(labels)]
    task = Classification.build(name="tone", inputs=("text",), labels=names)

    def row(number: int) -> ReviewRow:
        inputs = (f"My card number {number} has not come, though I ordered it two weeks ago. Where is it?",)
        likely = tuple((names[(number + n) % labels], 0.5 / (n + 1)) for n in range(5))
        label = RowLabel(
            value=likely[0][0], model_value=likely[0][0], confidence=0.5, alternatives=likely, status="ok",
            model="m1", source="model",
        )  # fmt: skip
        key = json.dumps({"id": number})
        return ReviewRow(
            input_hash=f"row-{number}", key=key, inputs=inputs, is_held_out=is_held_out(inputs), label=label
        )

    def probe(task: Any, on_scores: Any) -> Any:
        return ProbeProcess(task.to_dict(), on_scores=on_scores)

    make_probe = probe if arguments.probe else None
    asked = [row(number) for number in range(rows)]
    with served(folder, task=task, rows=asked, make_probe=make_probe, audit_share=0.3) as review:
        print(review.link, flush=True)
        sys.stdin.read()


def answer_beside(link: str, name: str, ended: threading.Event, waited: list[float]) -> None:
    """Another annotator: one answer a second. How long each acknowledgement took is noted, in seconds."""
    url, _, token = link.partition("/?token=")
    with requests.Session() as browser:
        browser.headers.update(_OURS)
        browser.get(url, params={"token": token}, timeout=30)
        post(browser, f"{url}/name", {"name": name, "same": True})
        rows: list[dict[str, Any]] = []
        while not ended.wait(1):
            if not rows:
                rows = post(browser, f"{url}/api/tone/next", {"have": [], "count": 20})["rows"]
            event = {"event_id": uuid.uuid4().hex, "id": rows.pop()["id"], "kind": "answer"}
            body = {"events": [event | {"value": "label_1"}], "have": [row["id"] for row in rows]}
            started = time.perf_counter()
            found = post(browser, f"{url}/api/tone/events", body)
            waited.append(time.perf_counter() - started)
            assert found["outcomes"][0]["outcome"] == "kept"


def post(browser: requests.Session, address: str, body: dict[str, Any]) -> dict[str, Any]:
    sent = browser.post(address, json=body, timeout=30)
    sent.raise_for_status()
    return dict(sent.json())


def type_keys(link: str, keys: int, a_second: float) -> list[tuple[float, bool]]:
    """For each key: milliseconds, and whether it showed another row."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium())
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        sign_in(page, link, "measured")
        page.goto(f"{link.partition('/?')[0]}/review/tone")
        page.locator("#answer").wait_for()
        page.evaluate(_WATCH)
        started = time.perf_counter()
        for number in range(keys):
            time.sleep(max(0.0, started + number / a_second - time.perf_counter()))
            page.keyboard.press("s" if page.locator(".badge", has_text="Blind").count() else "Enter")
        page.locator('#saving[data-waiting="0"]').wait_for()
        found = [(ms, is_shown) for ms, is_shown in page.evaluate("window.painted")]
        browser.close()
    return found


def measured(arguments: Namespace) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.speed.review_keys", "--serve"]
    command += ["--rows", str(arguments.rows), "--labels", str(arguments.labels)]
    command += ["--probe"] if arguments.probe else []
    ended, waited = threading.Event(), list[float]()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        assert server.stdin
        link = server.stdout.readline().strip()
        others = [
            threading.Thread(target=answer_beside, args=(link, f"other {n}", ended, waited))
            for n in range(arguments.others)
        ]
        for other in others:
            other.start()
        try:
            found = type_keys(link, arguments.keys, arguments.a_second)
        finally:
            ended.set()
            for other in others:
                other.join()
            server.stdin.close()
    return {
        "key_to_row_ms": percentiles([ms for ms, _ in found]),
        "keys_without_a_row": sum(not is_shown for _, is_shown in found),
        "acknowledged_ms": percentiles([1000 * seconds for seconds in waited]) if waited else None,
    }


def percentiles(values: list[float]) -> dict[str, float]:
    return {name: round(float(np.percentile(values, at)), 1) for name, at in
            {"p50": 50, "p95": 95, "p99": 99, "max": 100}.items()}  # fmt: skip


def main() -> None:
    parser = argument_parser(__doc__, rows=100_000)
    parser.add_argument("--keys", type=int, default=300)
    parser.add_argument("--a-second", type=float, default=8.0, help="keys a second")
    parser.add_argument(
        "--others", type=int, default=9, help="annotators beside, each with an answer a second"
    )
    parser.add_argument("--labels", type=int, default=77)
    parser.add_argument("--probe", action="store_true", help="let the live probe learn beside")
    parser.add_argument("--serve", action="store_true", help="what the server's process is started with")
    arguments = parser.parse_args()
    if arguments.serve:
        with tempfile.TemporaryDirectory() as folder:
            serve(Path(folder), arguments)
        return
    figures = measured(arguments)
    table = figure_table("Review by keys", "milliseconds", "p50", "p95", "p99", "max")
    for name, key in (
        ("key to next row painted", "key_to_row_ms"),
        ("others' acknowledgement", "acknowledged_ms"),
    ):
        if figures[key]:
            table.add_row(name, *(f"{value:.1f}" for value in figures[key].values()))
    table.add_row("keys after which no row was there", str(figures["keys_without_a_row"]))
    finish(arguments, table, figures)


if __name__ == "__main__":
    main()
