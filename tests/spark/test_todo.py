"""Passes of more than two chunks: what is to do is written down once, read in ranges, and removed."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from sparklabel.labeling.state.pending_inputs import (
    BUCKETS,
    open_pending_inputs,
    pending_inputs_path,
    remove_pending_inputs,
    write_pending_inputs,
)
from sparklabel.labeling.state.staging import open_staging
from sparklabel.table.row_states import HASH
from sparklabel.table.task_table import open_task_table

ROWS, INPUTS = 1400, 1300
"""More than two chunks hold, however quick the machine is."""


@pytest.fixture(scope="module")
def large(spark, label, rows_of):
    """A pass over a table of several chunks; some of its inputs are equal, and two are the pass's and not text's."""
    table = "default.large"
    spark.sql(f"DROP TABLE IF EXISTS {table}")
    spark.sql(
        f"CREATE TABLE {table} USING DELTA AS SELECT id, CASE id WHEN 0 THEN NULL WHEN 1 THEN "
        f"CAST(X'FF20667265736820FE' AS STRING) ELSE concat('fresh ', id % {INPUTS}) END AS text FROM range({ROWS})"
    )
    report = label(table)
    location = spark.sql(f"DESCRIBE DETAIL {table}").first()["location"]
    yield SimpleNamespace(table=table, report=report, rows=rows_of(table), location=location)
    spark.sql(f"DROP TABLE {table}")


def test_every_row_is_answered_whatever_its_chunk(large):
    # Row 0 is NULL and row 1 bytes; 1300 and 1301 have their texts.
    assert (large.report.labeled, large.report.distinct_inputs) == (ROWS, INPUTS + 2)
    assert large.report.by_status == {"ok": ROWS - 1, "empty_input": 1}
    assert {row.value for i, row in large.rows.items() if i} == {"fresh"}


def test_nothing_is_left_of_what_was_to_do(spark, large, todo_of):
    assert spark.sql(f"SELECT * FROM {todo_of(large.location)}").count() == 0


@pytest.fixture(scope="module")
def todo_of():
    """The table of what is to do beside a labelled one, as SQL takes it."""

    def find(location):
        (path,) = Path(location.removeprefix("file:"), "_sparklabel").glob("*-todo")
        return f"delta.`{path}`"

    return find


def staging_of(spark, table, task, pass_id):
    opened = open_task_table(spark, table, task, "id")
    return open_staging(spark, opened.target, opened.label_columns, task, "fake:m", pass_id)


def test_a_pass_reads_its_own_inputs_and_removes_no_others(spark, small, task):
    one, two = (staging_of(spark, small, task, name) for name in ("one", "two"))
    open_pending_inputs(spark, one)
    texts = spark.sql(f"SELECT concat('h', id) AS {HASH}, concat('t', id) AS text FROM range(50)")
    todos = [
        write_pending_inputs(spark, one, task, texts),
        write_pending_inputs(spark, two, task, texts.where("text < 't2'")),
    ]
    assert [pending_inputs.total for pending_inputs in todos] == [50, 12]
    remove_pending_inputs(spark, two)
    half = [todos[0].inputs(spark, part) for part in ((0, BUCKETS // 2), (BUCKETS // 2, BUCKETS))]
    assert 10 < half[0].count() < 40
    assert sorted(half[0].union(half[1]).collect()) == sorted(texts.collect())
    assert todos[1].inputs(spark, (0, BUCKETS)).count() == 12, "a pinned version is read on after its removal"
    assert {row.pass_id for row in spark.sql(f"SELECT * FROM {todos[0].sql}").collect()} == {"one"}


def test_what_a_killed_pass_left_goes_later(spark, small, task):
    dead, later = (staging_of(spark, small, task, name) for name in ("dead", "later"))
    open_pending_inputs(spark, dead)
    path = f"delta.`{pending_inputs_path(dead)}`"
    spark.sql(f"INSERT INTO {path} VALUES ('h', array('t'), 1, 'dead', current_date() - INTERVAL 15 DAYS)")
    spark.sql(f"INSERT INTO {path} VALUES ('h', array('t'), 1, 'running', current_date())")
    remove_pending_inputs(spark, later)
    assert [row.pass_id for row in spark.sql(f"SELECT * FROM {path}").collect()] == ["running"]
