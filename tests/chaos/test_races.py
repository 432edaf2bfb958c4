"""Two drivers, each with a JVM of its own, that begin on one table at the same moment, and a person who answers in a
third session beside them."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from sparklabel.delta.commits import retry_on_conflict
from tests.chaos.driver import label
from tests.chaos.log import chunks, staged

ROWS, DEADLINE = 2000, 400
PERSONS = "id % 100 = 7"


@pytest.fixture
def table(spark, tmp_path):
    path = tmp_path / "table"
    spark.sql(
        f"CREATE TABLE delta.`{path}` USING DELTA AS SELECT id, concat('fresh ', id) AS text FROM range({ROWS})"
    )
    return path


@pytest.fixture
def race(table, tmp_path):
    """Starts two drivers with a word of their own each, and lets both go when both are ready."""
    drivers = []

    def start(*words):
        for number, word in enumerate(words):
            with open(tmp_path / f"said-{number}", "wb") as said:
                command = [
                    sys.executable, "-m", "tests.chaos.driver", str(table), word, f"go={tmp_path / 'go'}",
                ]  # fmt: skip
                drivers.append(subprocess.Popen(command, start_new_session=True, stdout=said, stderr=said))
        wait(lambda: len(list(tmp_path.glob("ready-*"))) == len(words), drivers)
        (tmp_path / "go").touch()
        return drivers

    yield start
    for driver in drivers:
        with suppress(ProcessLookupError):
            os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()


def wait(is_so, drivers):
    """Until it is so, or the drivers have ended."""
    began = time.monotonic()
    while not is_so() and any(driver.poll() is None for driver in drivers):
        assert time.monotonic() - began < DEADLINE
        time.sleep(0.05)


def ends(said):
    """What an error says stands last; a report of a failure is cut in its middle."""
    return [text.strip()[-400:] for text in said]


def answer_as_a_person(spark, table, drivers):
    """Between the first chunk and the last MERGE."""
    wait(lambda: chunks(table), drivers)
    update = f"UPDATE delta.`{table}` SET verdict = 'rotten' WHERE {PERSONS}"
    retry_on_conflict(lambda: spark.sql(update).collect(), "A person's answers")


def check(spark, table):
    """Every row has one answer, a person's those that a person gave; and none was computed twice."""
    by = "SELECT verdict, verdict_label.source, verdict_label.status, count(*), count(DISTINCT id) FROM "
    found = {tuple(row) for row in spark.sql(f"{by} delta.`{table}` GROUP BY ALL").collect()}
    people = ROWS // 100
    assert found == {
        ("fresh", "model", "ok", ROWS - people, ROWS - people),
        ("rotten", "human", "ok", people, people),
    }
    answers = staged(spark, table)
    assert answers.count() == answers.select("input_hash").distinct().count()


def test_of_two_drivers_that_begin_together_one_labels_and_the_other_is_told(spark, table, race, tmp_path):
    drivers = race("one", "two")
    answer_as_a_person(spark, table, drivers)
    codes = [driver.wait(DEADLINE) for driver in drivers]
    said = [(tmp_path / f"said-{number}").read_text() for number in range(2)]
    assert 0 in codes, ends(said)
    # The one that comes so late that the other has ended has nothing to do.
    told = ["is labeling the same rows, in pass" in text for text in said]
    assert [code != 0 for code in codes] == told, ends(said)
    label(spark, str(table))
    check(spark, table)


def test_two_drivers_with_shards_label_all_rows_side_by_side(spark, table, race, tmp_path):
    drivers = race("shard=0/2", "shard=1/2")
    answer_as_a_person(spark, table, drivers)
    codes = [driver.wait(DEADLINE) for driver in drivers]
    assert codes == [0, 0], ends((tmp_path / f"said-{number}").read_text() for number in range(2))
    label(spark, str(table))  # says of the person's answers that they are a person's
    check(spark, table)
