"""Passes listed from the table's history, and one of them taken back."""

from types import SimpleNamespace

import pytest

from sparklabel import passes, undo_pass
from sparklabel.errors import TableError


@pytest.fixture(scope="module")
def story(spark, label, rows_of):
    """A pass, answers by people, a pass with another model over all but one row, more answers; then the second pass is
    taken back, and what is left of the first."""
    table = "default.undone"
    spark.sql(f"DROP TABLE IF EXISTS {table}")
    spark.sql(f"CREATE TABLE {table} USING DELTA AS SELECT id, concat('fresh ', id) AS text FROM range(6)")
    first = label(table)
    spark.sql(f"UPDATE {table} SET verdict = 'rotten' WHERE id = 0")
    second = label(table, model="m2", relabel="model", where="id < 5")
    spark.sql(f"UPDATE {table} SET verdict = 'rotten' WHERE id = 1")
    listed = passes(spark, table).collect()
    before = rows_of(table)
    report = undo_pass(spark, table, second.pass_id)
    after, newest = rows_of(table), passes(spark, table).first()
    undo_pass(spark, table, first.pass_id)
    yield SimpleNamespace(
        table=table,
        first=first,
        second=second,
        listed=listed,
        before=before,
        report=report,
        after=after,
        newest=newest,
    )
    spark.sql(f"DROP TABLE {table}")


def test_passes_are_listed_newest_first(story):
    first, second, listed = story.first, story.second, story.listed
    assert [row.pass_id for row in listed] == [second.pass_id, first.pass_id]
    assert [(row.task, row.model, row.rows, row.condition, row.undone) for row in listed] == [
        ("verdict", "fake:m2", 4, "id < 5", None), ("verdict", "fake:m", 6, None, None),
    ]  # fmt: skip
    assert all(row.began < row.ended for row in listed)
    assert listed[1].version_before < listed[1].version_after < listed[0].version_after


def test_undoing_a_pass_gives_its_rows_the_labels_they_had_before(story):
    first, before, rows, report = story.first, story.before, story.after, story.report
    assert {before[i].label.model for i in (2, 3, 4)} == {"fake:m2"}
    assert {(rows[i].value, rows[i].label.model, rows[i].label.pass_id) for i in (2, 3, 4)} == {
        ("fresh", "fake:m", first.pass_id)
    }
    assert (report.put_back, report.human_kept) == (3, 1)
    assert "3 rows have the labels of version" in str(report)


def test_undoing_a_pass_keeps_later_human_answers(story, rows_of):
    for rows in (story.after, rows_of(story.table)):
        assert [rows[i].value for i in (0, 1)] == ["rotten", "rotten"]


def test_an_undone_pass_is_listed_as_undone(story):
    assert (story.newest.undone, story.newest.rows) == (story.second.pass_id, 3)


def test_rows_without_a_label_before_the_pass_are_pending_again(story, label):
    assert label(story.table, dry_run=True).states == {"human": 2, "new": 4}


def test_a_pass_that_is_not_in_the_history_is_named(spark, story):
    with pytest.raises(TableError, match="no pass 'x'.*\n.*" + story.second.pass_id):
        undo_pass(spark, story.table, "x")
