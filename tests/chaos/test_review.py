"""A review whose processes are killed while people answer: what was acknowledged is in the journal and in the answers
table, once; the labels are what that table comes to; nobody's SQL is undone.

CHAOS=N kills N processes, one after another, of one review; CHAOS=I:J those from the I-th on before the J-th; a few in
an ordinary run. What is waited for is answers, so that a slow machine is killed at the same moments as a fast one.
"""

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from contextlib import contextmanager

import pytest

from sparklabel.delta.commits import retry_on_conflict
from sparklabel.labels.predicates import input_hash_sql
from sparklabel.labels.record import input_hash, label_ddl
from sparklabel.reviewing.asking.queue import asked_twice
from sparklabel.reviewing.journal import Journal
from sparklabel.reviewing.resolve import resolve
from sparklabel.reviewing.table.worker import TableWorker
from tests.chaos.driver import TASK
from tests.chaos.review_command import COMMAND, CONF, Review
from tests.chaos.review_people import Life, Person

VICTIMS = ("server", "table", "probe", "jvm")


def seeds():
    *first, end = map(int, os.environ.get("CHAOS", "2").split(":"))
    return range(*first, end)


ROWS = max(2000, 500 * len(seeds()))
"""Enough for all kills: people who have nothing left to answer are waited for in vain."""
PEOPLE = 6
BY_SQL = 8
"""Rows that SQL answers after each kill, with what people here never say."""
SQL_SAID = "seen elsewhere"
IS_LABELED = f"id < {ROWS // 2}"
RECORD = (
    "'value', 'fresh', 'status', 'ok', 'source', 'model', 'model', 'm', 'pass_id', 'p', 'labeled_at', now(), "
    f"'confidence', 0.9D, 'input_hash', {input_hash_sql(['text'])}"
)
DEADLINE, AT_ONCE = 240, 10


@pytest.fixture
def table(spark, tmp_path):
    """A table of different texts; a model has answered the first half."""
    path = tmp_path / "table"
    record = f"from_json(to_json(named_struct({RECORD})), '{label_ddl('STRING')}')"
    spark.sql(
        f"CREATE TABLE delta.`{path}` USING DELTA AS SELECT id, text, if({IS_LABELED}, 'fresh', NULL) AS verdict, "
        f"if({IS_LABELED}, {record}, NULL) AS verdict_label FROM (SELECT id, concat('text ', id) AS text FROM "
        f"range({ROWS}))"
    )
    return path


@contextmanager
def people_answer(review, seed):
    """People who answer until the block ends, whatever happens to the server."""
    stop, life = threading.Event(), Life()
    people = [Person(f"person {number}", review.url, TASK.name, seed, life, stop) for number in range(PEOPLE)]
    for one in people:
        one.thread.start()
    try:
        yield people, life
    finally:
        stop.set()
        for one in people:
            one.thread.join()


def wait_until(is_so, review, what):
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < DEADLINE, f"no {what}: {review.log.read_text()[-3000:]}"
        assert review.process.poll() is None, f"ended before {what}: {review.log.read_text()[-3000:]}"
        time.sleep(0.02)


def heard(people):
    return sum(len(one.heard) for one in people)


def said_by_sql(spark, table, number):
    """Other people answer some rows, by SQL, of the table alone. Which: everywhere among all rows."""
    ids = [(number * BY_SQL + one) * 37 % ROWS for one in range(BY_SQL)]
    update = f"UPDATE delta.`{table}` SET verdict = '{SQL_SAID}' WHERE id IN ({', '.join(map(str, ids))})"
    retry_on_conflict(lambda: spark.sql(update).collect(), "An answer by SQL")
    return ids


def kill_at_random(review, people, life, seed):
    """Waits for some answers, or, one time in four, not even for the table. Returns who was killed."""
    chance, victim = random.Random(seed), VICTIMS[seed % len(VICTIMS)]
    if chance.random() < 0.75:
        enough = heard(people) + chance.randint(1, 150)
        wait_until(lambda: heard(people) >= enough, review, f"answers before kill {seed}")
    time.sleep(3 * chance.random())
    if victim == "server":
        life.number += 1
    if not review.kill(victim):
        return f"no {victim}"
    if victim == "server":
        review.process.wait()
        review.process.stdout.close()  # not read to its end: processes that outlive the server have it open
        review.start()
        life.number += 1
    return victim


def test_what_was_acknowledged_is_in_the_table_once_whichever_process_was_killed(spark, table, tmp_path):
    review, killed, by_sql = Review(table, tmp_path), Counter(), set()
    review.start()
    try:
        with people_answer(review, seeds()[0]) as (people, life):
            wait_until(lambda: heard(people) > 0, review, "first answer")
            for seed in seeds():
                killed[kill_at_random(review, people, life, seed)] += 1
                by_sql |= set(said_by_sql(spark, table, seed))
            enough = heard(people) + 50
            wait_until(lambda: heard(people) >= enough, review, "answers at the end")
            review.process.send_signal(signal.SIGINT)  # while they answer
            report, _ = review.process.communicate(timeout=DEADLINE)
    finally:
        review.end()
    said = f"{dict(killed)}, {heard(people)} acknowledged; {report}\n{review.log.read_text()[-3000:]}"
    print(said)
    assert review.process.returncode == 0, said
    check_events(spark, review, people)
    check_labels(spark, review, by_sql)
    check_leases(people)


def events_of(spark, review):
    """What the journal holds, and what the answers table does."""
    with Journal(review.journal) as journal:
        kept = list(journal.events())
        worker = TableWorker(spark, journal.about, journal.id)
        worker.check()
    return kept, worker.past(TASK.name)


def check_events(spark, review, people):
    kept, there = events_of(spark, review)
    acknowledged = [name for one in people for name in one.heard]
    refused = [found for one in people for found in one.heard.values() if found["outcome"] == "refused"]
    assert refused == []
    sent = {name: event for one in people for name, event in one.sent.items()}
    numbers = Counter(event.event_id for event in kept)
    assert max(numbers.values()) == 1
    assert set(acknowledged) <= set(numbers) <= set(sent)
    assert Counter(event.event_id for event in there) == numbers
    assert {event.event_id: event for event in there} == {event.event_id: event for event in kept}
    for event in kept:
        assert (event.input_hash, event.kind, event.value) == tuple(
            sent[event.event_id][name] for name in ("id", "kind", "value")
        )


def check_labels(spark, review, by_sql):
    """The labels are the resolutions of the answers table, except where SQL spoke, and nobody saw that and answered."""
    _, there = events_of(spark, review)
    by_input = {}
    for event in there:
        by_input.setdefault(event.input_hash, []).append(event)
    rows = spark.sql(
        f"SELECT id, text, verdict AS value, verdict_label AS label FROM delta.`{review.table}`"
    ).collect()
    assert len(rows) == ROWS
    answered = 0
    for row in rows:
        events = by_input.get(input_hash([row.text.encode()]), [])
        found = resolve(events)
        if row.id in by_sql:
            was_seen = SQL_SAID in {event.before.value for event in events}
            assert row.value == SQL_SAID or (was_seen and row.value == found.value), row
        elif found.is_answered:
            answered += 1
            assert (row.value, row.label.source, row.label.reviewer, row.label.review_reason) == (
                found.value, "human", found.reviewer, found.reason
            ), (row, found)  # fmt: skip
        elif row.id < ROWS // 2:
            assert (row.value, row.label.source, row.label.reviewer) == (row.label.value, "model", None), row
        else:
            assert row.value is None, row
    assert answered > 0


def check_leases(people):
    """One server gives a row to one person, or to two where two are asked; a row that somebody left, to others too."""
    left = set().union(*(one.left for one in people))
    given = {(life, row, one.name) for one in people for life, row in one.given if row not in left}
    for (_, row), count in Counter((life, row) for life, row, _ in given).items():
        assert count <= (2 if asked_twice(row, 0.1) else 1), row


def test_a_second_interrupt_ends_at_once_and_the_journal_brings_everything_into_the_table(
    spark, table, tmp_path
):
    review = Review(table, tmp_path)
    review.start()
    try:
        with people_answer(review, "interrupted") as (people, _):
            wait_until(lambda: heard(people) > 20, review, "answers")
            review.process.send_signal(signal.SIGINT)
            wait_until(lambda: "interrupted" in review.log.read_text(), review, "first interrupt")
            review.process.send_signal(signal.SIGINT)
            began = time.monotonic()
            review.process.communicate(timeout=DEADLINE)
    finally:
        review.end()
    assert review.process.returncode != 0
    assert time.monotonic() - began < AT_ONCE
    assert f"sparklabel flush --journal {review.journal}" in review.log.read_text()
    subprocess.run([COMMAND, "flush", "--journal", review.journal, *CONF], check=True, timeout=DEADLINE)
    check_events(spark, review, people)
    check_labels(spark, review, set())


def test_a_second_server_on_a_journal_is_refused_and_names_the_first(table, tmp_path):
    review, other = Review(table, tmp_path), Review(table, tmp_path)
    review.start()
    try:
        found = subprocess.run(
            list(map(str, other.command())), capture_output=True, text=True, timeout=DEADLINE
        )
    finally:
        review.end()
    assert found.returncode == 2
    assert f"process {review.process.pid} on " in found.stderr
    assert found.stdout == ""
