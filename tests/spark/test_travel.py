"""A table that others take to another version, or whose versions they delete, in the middle of a pass: the error says
so, no answer that was computed is lost, and none that a person gave."""

import pytest

from sparklabel.errors import TableError

ROWS = 300
"""More than one chunk, and enough for the look at how the first answers are distributed."""


@pytest.fixture
def unlabeled(spark, table):
    spark.sql(
        f"CREATE TABLE {table} USING DELTA AS SELECT id, concat('fresh ', id) AS text FROM range({ROWS})"
    )
    return table


def once(*statements):
    """Behind the first chunk only."""
    return lambda line: [run() for run in statements] if line["chunk"] == 1 else None


def restore(spark, table, version):
    spark.sql(f"RESTORE TABLE {table} TO VERSION AS OF {version}").collect()


def test_a_table_restored_to_before_it_was_labeled_is_named_and_the_next_call_goes_on(
    spark, unlabeled, label, behind_chunk, rows_of
):
    with (
        behind_chunk(once(lambda: restore(spark, unlabeled, 0))),
        pytest.raises(TableError, match=rf"{unlabeled} was restored during the pass.*\n.*Call again"),
    ):
        label(unlabeled)
    again = label(unlabeled)
    assert (again.labeled, again.resumed_inputs > 0) == (ROWS, True)
    assert {row.value for row in rows_of(unlabeled).values()} == {"fresh"}


def test_answers_to_texts_that_a_restore_took_away_are_written_nowhere_and_kept_for_their_return(
    spark, unlabeled, label, behind_chunk, rows_of, version, tmp_path
):
    cache = str(tmp_path)  # named, so that no pass is a small one
    label(unlabeled, cache=cache)
    spark.sql(f"UPDATE {unlabeled} SET verdict = 'rotten' WHERE id = 3")
    spark.sql(f"UPDATE {unlabeled} SET text = concat('rotten ', id) WHERE id > 3")
    changed = version(unlabeled)
    before = {i: row.value for i, row in rows_of(unlabeled).items()}
    with behind_chunk(once(lambda: restore(spark, unlabeled, changed - 1))):
        assert label(unlabeled, cache=cache).labeled == 0
    assert {i: row.value for i, row in rows_of(unlabeled).items()} == before
    restore(spark, unlabeled, changed)
    assert label(unlabeled, cache=cache).cached_inputs == ROWS - 4
    after = {i: (row.value, row.label.source) for i, row in rows_of(unlabeled).items()}
    assert (after[3], after[4], after[0]) == (("rotten", "human"), ("rotten", "model"), ("fresh", "model"))


@pytest.fixture
def unchecked_retention(spark):
    name = "spark.databricks.delta.retentionDurationCheck.enabled"
    spark.conf.set(name, "false")
    yield
    spark.conf.unset(name)


def test_a_version_whose_files_vacuum_deletes_during_its_pass_is_named_and_the_next_call_goes_on(
    spark, unlabeled, label, behind_chunk, rows_of, unchecked_retention
):
    correct = f"UPDATE {unlabeled} SET verdict = 'rotten' WHERE id = 3"
    with (
        behind_chunk(
            once(
                lambda: spark.sql(correct).collect(),
                lambda: spark.sql(f"VACUUM {unlabeled} RETAIN 0 HOURS").collect(),
                spark.catalog.clearCache,  # as when the executors die that keep the pending rows
            )
        ),
        pytest.raises(TableError, match=rf"of {unlabeled}, which the pass reads, is gone.*\n.*Call again"),
    ):
        label(unlabeled)
    again = label(unlabeled)
    assert (again.labeled, again.resumed_inputs > 0) == (ROWS - 1, True)
    rows = rows_of(unlabeled)
    assert (rows[3].value, rows[3].label.source) == ("rotten", "human")
    assert {row.value for i, row in rows.items() if i != 3} == {"fresh"}
