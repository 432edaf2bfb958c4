"""What ends a pass early: everything that was answered is in the table, and the next call goes on."""

import pytest

from sparklabel.errors import TableError


def test_at_most_so_many_rows_are_asked(small, label):
    report = label(small, max_rows=2)
    assert (report.labeled, report.pending, report.stopped) == (2, 6, "")
    assert "4 pending rows are not labeled yet" in str(report)
    assert label(small).labeled == 4


def test_the_chunk_in_which_the_time_is_over_is_the_last(spark, table, label):
    spark.sql(f"CREATE TABLE {table} USING DELTA AS SELECT id, concat('fresh ', id) AS text FROM range(400)")
    report = label(table, max_seconds=0.001)
    assert report.stopped == "max_seconds"
    assert 0 < report.labeled < 400
    assert "call again to continue" in str(report)
    assert label(table).labeled == 400 - report.labeled


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_rows": 0},
        {"max_seconds": -1},
        {"max_error_ratio": 2},
        {"staging": "here"},
        {"retry": ["timeout"]},
        {"retry": {"empty_input": 2}},
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(small, label, version, wrong):
    with pytest.raises(TableError, match=next(iter(wrong))):
        label(small, **wrong)
    assert version(small) == 0


def test_a_staging_folder_that_cannot_be_made_leaves_the_table_as_it_was(small, label, version):
    with pytest.raises(TableError, match="staging table"):
        label(small, staging="/proc/nowhere")
    assert version(small) == 0


def test_answers_that_are_spread_otherwise_are_reported_or_wait_for_somebody_to_take_them(
    spark, table, label, tmp_path
):
    spark.sql(
        f"CREATE TABLE {table} USING DELTA AS SELECT id, concat(if(id % 2 = 0, 'fresh ', 'rotten '), id) AS text "
        "FROM range(60)"
    )
    assert label(table).drift == ""
    spark.sql(f"INSERT INTO {table} (id, text) SELECT id, concat('rotten ', id) FROM range(60, 120)")
    unstaged = label(table, on_drift="stop")  # a pass of seconds computes them again
    assert (unstaged.labeled, unstaged.stopped) == (0, "on_drift")
    stopped = label(table, on_drift="stop", staging=str(tmp_path))
    assert (stopped.labeled, stopped.stopped) == (0, "on_drift")
    assert "fresh 50% -> 0%" in stopped.drift
    assert "nothing was written" in str(stopped)
    again = label(table, on_drift="stop", staging=str(tmp_path))
    assert (again.labeled, again.stopped) == (0, "on_drift"), "staged answers are looked at as well"
    taken = label(table, on_drift="ignore", staging=str(tmp_path))
    assert (taken.labeled, taken.resumed_inputs) == (60, 60)
