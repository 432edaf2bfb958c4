"""A journal is brought into the table: by a command, and by a process that dies; also where labels have a table of
their own, and beside OPTIMIZE."""

import os
import queue
import signal
import threading
from dataclasses import replace
from functools import partial

import pytest

import sparklabel as sl
from sparklabel.delta.commits import retry_on_conflict
from sparklabel.errors import AnswersError, KeyColumnError, TableError
from sparklabel.labels.predicates import input_hash_sql
from sparklabel.labels.record import input_hash, label_ddl
from sparklabel.reviewing.agreement_report import agreement
from sparklabel.reviewing.journal import Journal
from sparklabel.reviewing.records import Event
from sparklabel.reviewing.table.flush import flush_journal
from sparklabel.reviewing.table.process import TableProcess, TableProcessEnded
from sparklabel.reviewing.table.worker import TableWorker

TASK = sl.classification("verdict", "text", ["fresh", "rotten"])
SURE = {"fresh": "+", "rotten": "-"}


def about(table, **others):
    return {
        "table": table, "into": None, "key": ["id"], "column": None, "answers": None, "tasks": [TASK.to_dict()]
    } | others  # fmt: skip


def said(number, value, who="kim", text=None, kind="answer"):
    return Event(
        event_id=f"{who}{number}{value}{kind}", task="verdict", key=f'{{"id":{number}}}', kind=kind, value=value,
        input_hash=input_hash([(text or f"fresh {number}").encode()]), reviewer=who, task_fingerprint=TASK.fingerprint,
        answered_at=f"2026-11-02T10:00:{number:02}.000001+00:00",
    )  # fmt: skip


@pytest.fixture
def answers(spark, table):
    yield f"{table}_verdict_answers"
    spark.sql(f"DROP TABLE IF EXISTS {table}_verdict_answers")


def test_what_a_dead_review_left_is_appended_and_merged_once(spark, small, answers, tmp_path, rows_of):
    file = tmp_path / "review.db"
    with pytest.raises(AnswersError, match="no table"):
        agreement(spark, small, TASK, key="id")
    with Journal(file, about(small)) as journal:
        journal.append([said(1, "rotten"), said(1, "rotten", "lee"), said(2, "fresh"), said(9, "fresh")])
    first = flush_journal(spark, file, progress=False)
    assert (first.events, first.written, dict(first.not_written)) == (4, 2, {"text_changed": 1})
    again = flush_journal(spark, file, progress=False)
    assert (again.events, again.written, again.not_written) == (0, 0, {})
    assert [row.value for row in rows_of(small).values()] == [None, "rotten", "fresh", None, None, None]
    found = agreement(spark, small, TASK)
    assert (found.rows, found.shared, found.pairs[0].same) == (3, 1, 1)


def test_labels_in_a_table_of_their_own_beside_optimize(spark, small, answers, version):
    labels = f"{small}_labels"
    worker = TableWorker(spark, about(small, into=labels), "j")
    worker.append("verdict", [_numbered(1, said(1, "rotten")), _numbered(2, said(2, "fresh"))])
    hashes = [said(number, "").input_hash for number in (1, 2)]
    assert worker.merge("verdict", hashes).written == 2
    optimize = partial(retry_on_conflict, lambda: spark.sql(f"OPTIMIZE {labels}").collect(), "OPTIMIZE")
    optimizing = threading.Thread(target=optimize)
    optimizing.start()
    worker.append("verdict", [_numbered(3, said(2, None, kind="undo")), _numbered(4, said(1, "fresh"))])
    assert (worker.merge("verdict", hashes).taken_back, version(small)) == (1, 0)
    optimizing.join()
    assert {row.id: row.verdict for row in spark.table(labels).collect()} == {1: "fresh", 2: None}
    spark.sql(f"DROP TABLE {labels}")


def _numbered(seq, event):
    return replace(event, seq=seq, event_id=f"e{seq}")


def test_the_surest_rows_are_left_out_of_a_sample_of_uncertain_ones(spark, table):
    answers = ", ".join(
        f"named_struct('value', '{label}', 'probability', 0.5D {sign} id / 20D)"
        for label, sign in SURE.items()
    )
    spark.sql(
        f"CREATE TABLE {table} USING DELTA AS SELECT id, text, 'fresh' AS verdict, from_json(to_json(named_struct("
        "'value', 'fresh', 'status', 'ok', 'source', 'model', 'input_hash', "
        f"{input_hash_sql(['text'])}, 'alternatives', array({answers}))), '{label_ddl('STRING')}') AS verdict_label "
        "FROM (SELECT id, concat('fresh ', id) AS text FROM range(6))"
    )
    worker = TableWorker(spark, about(table), "j")
    everything = worker.load("verdict", 100)
    assert [len(everything), {row.is_random for row in everything}] == [6, {True}]
    found = worker.load("verdict", 3)
    assert [row.input_hash for row in found if row.is_random] == [row.input_hash for row in everything[:3]]
    least = min(everything[3:], key=lambda row: row.label.alternatives[0][1])
    chosen = [row.input_hash for row in found if not row.is_random]
    assert chosen == ([] if least.is_held_out else [least.input_hash])
    assert [row.inputs for row in worker.load("verdict", 100, "id = 4")] == [("fresh 4",)]
    with pytest.raises(TableError, match="not a condition"):
        worker.load("verdict", 100, "no_such_column = 4")
    # Rows that were chosen by their labels are not random, and judge nothing.
    assert not [
        row
        for row in worker.load("verdict", 100, "Verdict_label.confidence < 2")
        if row.is_random or row.is_held_out
    ]


def test_a_process_that_is_killed_is_started_again(spark, tmp_path):
    table = str(tmp_path / "table")
    spark.sql(
        f"CREATE TABLE delta.`{table}` USING DELTA AS SELECT id, concat('fresh ', id) AS text FROM range(6)"
    )
    conf = {
        "spark.master": "local[1]",
        "spark.driver.memory": "512m",
        "spark.sql.codegen.wholeStage": "false",
    }
    lines = queue.Queue()
    with TableProcess(about(table), "j", conf, on_progress=lines.put) as process:
        events = [_numbered(1, said(1, "rotten"))]
        waiting = process.append("verdict", events)
        assert lines.get() == "Spark is starting"
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(TableProcessEnded):
            waiting.result()
        assert process.append("verdict", events).result() == 1
        assert process.merge("verdict", None).result().written == 1
        with pytest.raises(TableError, match="not a condition"):
            process.load("verdict", 5, "no_such_column = 4").result()


def test_a_key_that_is_not_unique_is_refused(spark, table):
    spark.sql(f"CREATE TABLE {table} USING DELTA AS SELECT id % 2 AS id, 'a' AS text FROM range(3)")
    with pytest.raises(KeyColumnError, match="not unique"):
        TableWorker(spark, about(table), "j").check()
