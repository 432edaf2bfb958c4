"""How many rows the driver takes, on rows written out."""

import pytest

from sparklabel.evaluation.gold import asked_rows, gold_column
from sparklabel.table import driver_rows
from sparklabel.table.driver_rows import bounded


@pytest.fixture
def letters(spark):
    return spark.createDataFrame([(letter, "é" * 10) for letter in "hcafbdge"], "hash STRING, text STRING")


def read(rows):
    return "".join(row["hash"] for row in rows.collect())


def test_of_too_many_rows_those_with_the_smallest_hashes_are_taken_and_the_others_counted(
    letters, monkeypatch
):
    monkeypatch.setattr(driver_rows, "MAX_ROWS", 3)
    taken, left_out = bounded(letters, "hash")
    assert (read(taken), left_out) == ("abc", 5)


def test_of_too_long_rows_as_many_are_taken_as_have_the_bytes_together(letters, monkeypatch):
    assert len('{"hash":"h","text":"éééééééééé"}'.encode()) == 42
    monkeypatch.setattr(driver_rows, "MAX_BYTES", 4 * 42)
    taken, left_out = bounded(letters, "hash")
    assert (read(taken), left_out) == ("abcd", 4)


def test_rows_that_the_driver_takes_whole_are_as_they_were(letters, monkeypatch):
    monkeypatch.setattr(driver_rows, "MAX_ROWS", 8)
    monkeypatch.setattr(driver_rows, "MAX_BYTES", 8 * 42)
    assert bounded(letters, "hash") == (letters, 0)
    assert bounded(letters.limit(0), "hash")[1] == 0


def test_of_too_many_gold_answers_a_sample_is_asked_that_is_the_same_each_time(spark, task, monkeypatch):
    rows = [(f"text {number}", "fresh" if number % 3 else None) for number in range(9)]
    frames = [spark.createDataFrame(some, "text STRING, gold STRING") for some in (rows, rows[::-1])]
    monkeypatch.setattr(driver_rows, "MAX_ROWS", 4)
    asked = [asked_rows(gold_column(spark, frame, task, "gold"), "gold", task) for frame in frames]
    assert [(gold.without_gold, gold.not_asked) for gold in asked] == [(3, 2)] * 2
    one, other = ({row["text"] for row in gold.rows.collect()} for gold in asked)
    assert one == other
    assert len(one) == 4


def test_texts_and_rows_without_gold_leave_no_room_for_fewer_answers(spark, task, monkeypatch):
    rows = [("long text " * 1000, "fresh" if number == 0 else None) for number in range(50)]
    monkeypatch.setattr(driver_rows, "MAX_BYTES", 100)
    asked = asked_rows(
        gold_column(spark, spark.createDataFrame(rows, "text STRING, gold STRING"), task, "gold"),
        "gold",
        task,
    )
    assert (asked.rows.count(), asked.without_gold, asked.not_asked) == (1, 49, 0)


def test_gold_answers_that_are_too_long_together_are_sampled(spark, task, monkeypatch):
    rows = [(f"text {number}", "fresh") for number in range(8)]
    assert len(b'{"_gold":"fresh"}') == 17
    monkeypatch.setattr(driver_rows, "MAX_BYTES", 3 * 17)
    frame = spark.createDataFrame(rows, "text STRING, gold STRING")
    assert asked_rows(gold_column(spark, frame, task, "gold"), "gold", task).not_asked == 5
