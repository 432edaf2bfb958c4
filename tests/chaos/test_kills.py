"""Passes that are killed at random moments, and begun again by another process, which comes to its end.

CHAOS=N kills in N passes (`make chaos N=200`), CHAOS=I:J in those from the I-th on before the J-th, so that many can be
done in parts; a few in an ordinary run. What is waited for is progress on disk, so that a slow machine is killed at the
same moments as a fast one.
"""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from sparklabel.delta.commits import retry_on_conflict
from sparklabel.labeling.state.staging import CACHED
from tests.chaos.driver import label
from tests.chaos.log import staged

ROWS, INPUTS = 2000, 1600
ANSWERED = 4
DEADLINE = 600
"""Seconds, for a machine that does much else; a pass takes a tenth of that."""
OURS = {"SPARKLABEL_CHAOS": str(os.getpid())}
"""In the environment of all that is started here."""
VICTIMS = ("driver", "worker", "engine")


@pytest.fixture
def table(spark, tmp_path):
    """A table of some equal texts, a third of it fresh, with a row that a person answered otherwise than a model."""
    path = tmp_path / "table"
    spark.sql(
        f"CREATE TABLE delta.`{path}` USING DELTA AS SELECT id, concat(if(id % 3 = 0, 'fresh ', 'rotten '), "
        f"id % {INPUTS}) AS text, if(id = {ANSWERED}, 'fresh', NULL) AS verdict FROM range({ROWS})"
    )
    return path


def start(table, victim):
    shared = ["shared"] if victim == "engine" else []
    return subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.driver", str(table), *shared],
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | OURS,
    )  # fmt: skip


def commits(table):
    """How many commits the table and all that stands beside it have."""
    return len(list(table.glob("_delta_log/*.json"))) + len(
        list(table.glob("_sparklabel/*/_delta_log/*.json"))
    )


def kill(driver, victim):
    if victim == "driver":
        os.killpg(driver.pid, signal.SIGKILL)
        return
    name = {"worker": "pyspark.daemon", "engine": "sparklabel.engines.server.server"}[victim]
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            if name in (folder / "cmdline").read_text() and belongs_to(int(folder.name), driver.pid, victim):
                os.kill(int(folder.name), signal.SIGKILL)


def belongs_to(pid, session, victim):
    # An engine's process is nobody's child, and has a session of its own.
    ours = "=".join(*OURS.items()).encode()
    return ours in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") and (
        victim == "engine" or os.getsid(pid) == session
    )


def seeds():
    *first, end = map(int, os.environ.get("CHAOS", str(len(VICTIMS))).split(":"))
    return range(*first, end)


@pytest.mark.parametrize("seed", seeds())
def test_every_row_has_exactly_one_answer_whichever_process_was_killed(spark, table, seed):
    chance, victim = random.Random(seed), VICTIMS[seed % len(VICTIMS)]
    before, began = commits(table), time.monotonic()
    driver = start(table, victim)
    moment = before + chance.randint(1, 9)
    while commits(table) < moment and driver.poll() is None and time.monotonic() - began < DEADLINE:
        time.sleep(0.05)
    time.sleep(chance.random())
    with suppress(ProcessLookupError):  # it may have come to its end
        kill(driver, victim)
    retry_on_conflict(
        lambda: spark.sql(f"UPDATE delta.`{table}` SET text = 'fresh since' WHERE id = 1"),
        "A writer's update",
    )
    driver.wait(DEADLINE)
    with suppress(ProcessLookupError):
        os.killpg(driver.pid, signal.SIGKILL)
    label(spark, str(table))  # in this process, whose Spark is warm
    check(spark, table)


def check(spark, table):
    rows = spark.read.format("delta").load(str(table))
    assert rows.count() == ROWS == rows.select("id").distinct().count()
    person = rows.where(f"id = {ANSWERED}").select("verdict", "verdict_label.source").collect()
    assert [tuple(row) for row in person] == [("fresh", "human")]
    rest = rows.where(f"id <> {ANSWERED}")
    said = F.regexp_extract("text", r"^(\w+)", 1)
    assert rest.where((said != F.col("verdict")) | F.col("verdict").isNull()).count() == 0
    assert rest.where("verdict_label.status <> 'ok' OR verdict_label.source <> 'model'").count() == 0
    for left in table.glob("_sparklabel/verdict_label-*"):
        assert spark.read.format("delta").load(str(left)).count() == 0, left.name
    # A pass computes one chunk at a time, and stages it whole. So where no answer was staged twice, all that was
    # computed twice is what a killed pass had not staged yet: a part of one chunk.
    answers = staged(spark, table).where(f"answer.status = 'ok' AND chunk > {CACHED}")
    assert (
        answers.count()
        == answers.select("input_hash").distinct().count()
        == rows.select("text").distinct().count()
    )
