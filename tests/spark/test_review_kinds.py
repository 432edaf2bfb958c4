"""Answers of every shape go through the answers table into the labels, and keep their types."""

from datetime import date

import pytest

import sparklabel as sl
from sparklabel.labels.record import input_hash
from sparklabel.reviewing.records import Event, Shown
from sparklabel.reviewing.table.worker import TableWorker
from sparklabel.tasks.json_values import plain

TABLE = "default.review_kinds"
TEXT = "Ada paid 250 😀 in e\u0301toile on 2026-11-02."
FIELDS = {"paid": "integer", "price": "number", "on": "date", "who": {"many": True}, "known": "boolean"}
SAID = {
    "topics": ["b", "a"],
    "stars": 3.0,
    "bill": {"paid": 2**53 + 1, "price": 0.1, "on": "2026-11-02", "who": ['A"d\\a'], "known": None},
    "names": [{"text": "😀 in e\u0301toile", "type": "place", "start": 13, "end": 26}],
    "reply": None,
}
TASKS = {
    task.name: task
    for task in (
        sl.multilabel("topics", "text", ["b", "a"]),
        sl.rating("stars", "text", [1, 2, 3]),
        sl.extraction("bill", "text", FIELDS),
        sl.entities("names", "text", ["place"]),
        sl.answering("reply", "question", "text"),
    )
}
KEYED = "value DATE, seq DECIMAL(20, 2), at TIMESTAMP"
"""A key of types that are easily spoiled, under names that an answers table has itself."""


@pytest.fixture(scope="module")
def row(spark):
    """A row that people answered for all tasks, before any pass."""
    spark.sql(f"CREATE TABLE {TABLE} ({KEYED}, text STRING, question STRING) USING DELTA")
    at = "TIMESTAMP '2026-10-25 01:30:00.123456+00:00'"
    spark.sql(f"INSERT INTO {TABLE} VALUES (DATE '2026-11-02', 12345678901234567.25, {at}, '{TEXT}', 'Who?')")
    about = {
        "table": TABLE,
        "tasks": [task.to_dict() for task in TASKS.values()],
        "key": ["value", "seq", "at"],
    }
    worker = TableWorker(spark, about, "j")
    (asked,) = worker.load("stars", 10)
    for seq, (name, value) in enumerate(SAID.items(), 1):
        event = said(TASKS[name], asked.key, value, seq)
        worker.append(name, [event])
        assert worker.merge(name, [event.input_hash]).written == 1
    yield spark.table(TABLE).first(), worker
    for name in (TABLE, *(f"{TABLE}_{task}_answers" for task in TASKS)):
        spark.sql(f"DROP TABLE IF EXISTS {name}")


def said(task, key, value, seq):
    texts = {"text": TEXT.encode(), "question": b"Who?"}
    return Event(
        event_id=f"e{seq}", task=task.name, key=key, input_hash=input_hash([texts[name] for name in task.inputs]),
        kind="answer", value=value, reviewer="kim", shown=Shown(value=value, confidence=0.5, by="model"), seq=seq,
        answered_at="2026-11-02T10:00:00.000001+00:00",
    )  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_the_column_has_the_answer(row, name):
    found = plain(row[0][name])
    expected = SAID[name] | {"on": date(2026, 11, 2)} if name == "bill" else SAID[name]
    assert found == expected
    assert row[0][f"{name}_label"].source == "human"


@pytest.mark.parametrize("name", SAID)
def test_the_answers_table_gives_the_event_back(row, name):
    (event,) = row[1].past(name)
    (shown,) = row[1].current(name, [event.input_hash]).values()
    assert (event.value, event.shown.value, event.key) == (SAID[name], SAID[name], shown.key)


def test_the_answers_table_has_the_key_in_its_types(row, spark):
    there = spark.table(f"{TABLE}_stars_answers")
    assert [there.schema[f"key_{n}"].dataType for n in (1, 2)] == [
        spark.table(TABLE).schema[name].dataType for name in ("value", "seq")
    ]
    same = spark.table(TABLE).join(there, (there.key_1 == row[0].value) & (there.key_2 == row[0].seq)).first()
    assert same["at"] == row[0]["at"]
