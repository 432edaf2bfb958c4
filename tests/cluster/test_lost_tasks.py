"""Tasks that Spark runs twice: their executor is killed, or they are slow. Each row has one answer all the same.

Rows are answered by an HTTP server of the test's own, which holds a row back until what is waited for has happened.
"""

import json
import os
import re
import signal
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.chaos.log import staged
from tests.unit.engines.openai.endpoint import JsonHandler, completion

JOB = Path(__file__).parents[2] / "jobs" / "label.py"
ROWS, SECONDS = 40, 900
TASK = """
kind: classification
name: verdict
inputs: [text]
labels: [fresh, rotten]
"""


class Endpoint(JsonHandler):
    """Answers a text with its first word, when the server lets it."""

    def do_POST(self):
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        text = re.findall(r"(?:fresh|rotten) \d+", asked)[-1]
        self.server.meet(text)
        with suppress(OSError):  # who asked was killed
            self.send_json(*completion(json.dumps({"answer": text.split()[0]})))


class Server(ThreadingHTTPServer):
    """`asked` counts by text. A text that `holds` waits until `goes` says that it may go on."""

    request_queue_size, daemon_threads, block_on_close = 200, True, False

    def __init__(self, holds, goes):
        super().__init__(("127.0.0.1", 0), Endpoint)
        self.asked, self._holds, self._goes, self.seen = Counter(), holds, goes, threading.Condition()

    def meet(self, text):
        with self.seen:
            self.asked[text] += 1
            self.seen.notify_all()
            if self._holds(text):
                self.seen.wait_for(lambda: self._goes(self), SECONDS)

    def let_go(self):
        with self.seen:
            self._goes = lambda _: True
            self.seen.notify_all()

    def wait_for(self, number):
        """Until so many texts were asked."""
        with self.seen:
            return self.seen.wait_for(lambda: len(self.asked) == number, SECONDS)


@contextmanager
def serving(holds, goes):
    server = Server(holds, goes)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server
    finally:
        server.let_go()
        server.shutdown()
        server.server_close()


@pytest.fixture
def said(tmp_path):
    return tmp_path / "said"


@pytest.fixture
def label(spark, cluster, tmp_path, said):
    """Starts a pass over a table, which asks the server, and asks again only where a task runs again."""
    table, task = tmp_path / "table", tmp_path / "verdict.yaml"
    task.write_text(TASK)
    spark.sql(
        f"CREATE TABLE delta.`{table}` USING DELTA AS "
        f"SELECT id, concat(if(id % 2 = 0, 'fresh ', 'rotten '), id) AS text FROM range({ROWS})"
    )

    def start(server, conf=()):
        address = f"base_url=http://127.0.0.1:{server.server_port}/v1"
        return table, cluster.start(
            JOB, "--table", table, "--task", task, "--key", "id", "--engine", "openai", "--model", "m",
            *("--option", address, "--option", f"timeout={SECONDS}", "--option", "max_retries=0"), conf=conf, said=said,
        )  # fmt: skip

    return start


def kill_executor(worker):
    """With SIGKILL; how many a worker has, by its folder."""
    killed = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            is_one = "CoarseGrainedExecutorBackend" in (process / "cmdline").read_text()
            if is_one and (process / "cwd").resolve().is_relative_to(worker):
                os.kill(int(process.name), signal.SIGKILL)
                killed += 1
    return killed


def check(spark, table):
    """Every row has the answer to its text, and one was staged for each."""
    wrong = "NOT (verdict <=> split(text, ' ')[0] AND verdict_label.status <=> 'ok')"
    counts = f"SELECT count(*), count(DISTINCT id), count_if({wrong}) FROM delta.`{table}`"
    assert spark.sql(counts).first()[:] == (ROWS, ROWS, 0)
    answers = staged(spark, table)
    assert answers.count() == answers.select("input_hash").distinct().count() == ROWS


def test_a_pass_whose_executor_is_killed_while_its_tasks_run_answers_every_row_once(
    spark, cluster, label, said
):
    with serving(holds=lambda _: True, goes=lambda _: False) as server:
        table, job = label(server)
        assert server.wait_for(ROWS), said.read_text()
        assert kill_executor(cluster.folder / "forty") == 1
        server.let_go()
        assert job.wait(SECONDS) == 0, said.read_text()
    assert f"labeled {ROWS} rows" in said.read_text()
    assert server.asked.total() > ROWS
    check(spark, table)


def test_a_slow_task_that_spark_runs_twice_answers_every_row_once(spark, label, said):
    slow = "fresh 0"
    often = {
        "spark.speculation": "true", "spark.speculation.quantile": 0.5, "spark.speculation.multiplier": 1,
        "spark.speculation.interval": "50ms",
    }  # fmt: skip
    with serving(holds=lambda text: text == slow, goes=lambda server: server.asked[slow] > 1) as server:
        table, job = label(server, conf=often)
        assert job.wait(SECONDS) == 0, said.read_text()
    assert server.asked[slow] == 2
    check(spark, table)
