"""One handle for a table and a task; the table remembers the key of its first pass."""

from types import SimpleNamespace

import pytest

import sparklabel as sl
from sparklabel.errors import KeyColumnError, TableError

FAKE = {"model": "m", "engine": "fake", "progress": False}


@pytest.fixture(scope="module")
def tickets(spark, task):
    """A table labeled through its handle, corrected in SQL, and labeled again without naming the key."""
    name = "default.handle"
    spark.sql(f"DROP TABLE IF EXISTS {name}")
    spark.sql(
        f"CREATE TABLE {name} USING DELTA AS SELECT id, if(id = 5, '  ', concat('fresh ', id)) AS text, "
        "id % 3 AS shard FROM range(6)"
    )
    handle = sl.open_table(spark, name, task, key="id")
    would, first = handle.dry_run(**FAKE), handle.label(**FAKE)
    spark.sql(f"UPDATE {name} SET verdict = 'rotten' WHERE id = 1")
    spark.sql(
        f"UPDATE {name} SET verdict_label.source = 'human', verdict_label.reviewer = 'ann' WHERE id = 2"
    )
    again = sl.open_table(spark, name, task)
    yield SimpleNamespace(name=name, table=again, would=would, first=first, second=again.label(**FAKE))
    spark.sql(f"DROP TABLE {name}")


def test_a_dry_run_says_what_the_pass_then_does(tickets):
    assert (tickets.would.dry_run, tickets.would.pending, tickets.first.labeled) == (True, 6, 6)


def test_later_calls_need_no_key(tickets):
    assert (tickets.second.labeled, tickets.second.human_kept) == (0, 2)


def test_another_key_than_the_first_passs_is_refused_by_name(spark, tickets, task):
    with pytest.raises(KeyColumnError, match=r"labeled by the key id, not by shard"):
        sl.open_table(spark, tickets.name, task, key="shard")
    with pytest.raises(KeyColumnError, match=r"labeled by the key id, not by shard"):
        sl.label_table(spark, tickets.name, task, key="shard", **FAKE)


def test_a_first_pass_without_a_key_is_refused_before_anything_is_written(spark, small, task, version):
    with pytest.raises(KeyColumnError, match=r"(?s)needs a key.*key='id'"):
        sl.open_table(spark, small, task)
    assert version(small) == 0


def test_a_table_that_is_not_there_is_named(spark, task):
    with pytest.raises(TableError, match=r"default\.nowhere"):
        sl.open_table(spark, "default.nowhere", task, key="id")


def test_answers_are_those_of_people_with_what_the_model_had_said(tickets):
    found = {row.id: row for row in tickets.table.answers().collect()}
    assert {i: (row.answer, row.model_answer, row.reviewer) for i, row in found.items()} == {
        1: ("rotten", "fresh", None),
        2: ("fresh", "fresh", "ann"),
    }


def test_failures_are_the_rows_without_an_answer(tickets):
    assert [(row.id, row.status) for row in tickets.table.failures().collect()] == [(5, "empty_input")]


def test_its_passes_are_listed_and_can_be_undone(spark, tickets, task):
    copy = f"{tickets.name}_copy"
    spark.sql(f"CREATE TABLE {copy} USING DELTA AS SELECT id, text FROM {tickets.name}")
    handle = sl.open_table(spark, copy, task, key="id")
    report = handle.label(**FAKE)
    assert [row.pass_id for row in handle.passes().collect()] == [report.pass_id]
    assert handle.undo(report.pass_id).put_back == 6
    spark.sql(f"DROP TABLE {copy}")


def test_a_misspelled_argument_is_named_before_spark_is_touched(task):
    with pytest.raises(sl.SparklabelError, match="mx_rows"):
        sl.label_table(None, "t", task, key="id", mx_rows=5)
