"""What ends a pass early: everything that was answered is in the table, and the next call goes on.

One table is labeled in portions; each test looks at one of them.
"""

from types import SimpleNamespace

import pytest

ROWS = 400


@pytest.fixture(scope="module")
def portions(spark, label, tmp_path_factory):
    """A table of as many fresh rows as rotten ones, labeled in three passes, and rows that are all rotten in three
    more."""
    table, seen = "default.portions", SimpleNamespace()
    staging = {
        "staging": str(tmp_path_factory.mktemp("staging")),
        "cache": False,
    }  # named, so that passes stage
    spark.sql(f"DROP TABLE IF EXISTS {table}")
    spark.sql(
        f"CREATE TABLE {table} USING DELTA AS SELECT id, concat(if(id % 2 = 0, 'fresh ', 'rotten '), id) AS text "
        f"FROM range({ROWS})"
    )
    seen.two, seen.short = label(table, max_rows=2), label(table, max_seconds=0.001, **staging)
    seen.rest = label(table)
    spark.sql(f"INSERT INTO {table} (id, text) SELECT id, concat('rotten ', id) FROM range(400, 460)")
    seen.stopped, seen.again, seen.taken = (
        label(table, on_drift=on_drift, **staging) for on_drift in ("stop", "stop", "ignore")
    )
    yield seen
    spark.sql(f"DROP TABLE {table}")


def test_max_rows_limits_how_many_rows_are_asked(portions):
    report = portions.two
    assert (report.labeled, report.pending, report.stopped) == (2, ROWS, "")
    assert f"{ROWS - 2} pending rows are not labeled yet" in str(report)


def test_max_seconds_ends_the_pass_with_the_current_chunk(portions):
    report = portions.short
    assert (report.pending, report.stopped) == (ROWS - 2, "max_seconds")
    assert 0 < report.labeled < ROWS - 2
    assert "call again to continue" in str(report)


def test_the_next_call_labels_the_rest(portions):
    assert portions.rest.labeled == ROWS - 2 - portions.short.labeled
    assert portions.rest.stopped == ""


def test_answers_like_those_of_earlier_passes_have_no_drift(portions):
    assert portions.rest.drift == ""


def test_answers_with_drift_are_not_written_under_on_drift_stop(portions):
    report = portions.stopped
    assert (report.labeled, report.stopped) == (0, "on_drift")
    assert "fresh 50% -> 0%" in report.drift
    assert "nothing was written" in str(report)


def test_staged_answers_are_examined_for_drift_as_well(portions):
    assert (portions.again.labeled, portions.again.stopped) == (0, "on_drift")


def test_answers_accepted_despite_drift_are_not_computed_again(portions):
    assert (portions.taken.labeled, portions.taken.resumed_inputs) == (60, 60)
