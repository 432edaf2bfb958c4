"""What ends a pass early: everything that was answered is in the table, and the next call goes on."""

import pytest

from sparklabel.errors import TableError


def test_at_most_so_many_rows_are_asked(small, label):
    report = label(small, max_rows=2)
    assert (report.labeled, report.pending, report.stopped) == (2, 6, "")
    assert label(small).labeled == 4


def test_the_chunk_in_which_the_time_is_over_is_the_last(spark, table, label):
    spark.sql(f"CREATE TABLE {table} USING DELTA AS SELECT id, concat('fresh ', id) AS text FROM range(400)")
    report = label(table, max_seconds=0.001)
    assert report.stopped == "max_seconds"
    assert 0 < report.labeled < 400
    assert "call again to go on" in str(report)
    assert label(table).labeled == 400 - report.labeled


@pytest.mark.parametrize("wrong", [{"max_rows": 0}, {"max_seconds": -1}, {"max_error_ratio": 2}])
def test_limits_that_cannot_be_are_refused(small, label, wrong):
    with pytest.raises(TableError, match=next(iter(wrong))):
        label(small, **wrong)
