"""Answers that were given before are not computed again."""

import pytest
from pyspark.sql import functions as F

from sparklabel import cache_summary, clear_cache
from sparklabel.delta.snapshot import open_snapshot
from sparklabel.errors import TableError
from sparklabel.labeling.state.answer_cache import tidy


@pytest.fixture
def handed_back(spark):
    """Takes the labels from a table's rows, so that they are pending again."""
    return lambda table: spark.sql(f"UPDATE {table} SET verdict = NULL, verdict_label = NULL")


def test_what_is_in_the_cache_is_not_computed(spark, small, label, rows_of, handed_back):
    first, before = label(small, where="id < 4"), rows_of(small)
    handed_back(small)
    again = label(
        small, cache=f"{open_snapshot(spark, small).location}/_sparklabel"
    )  # named: asked even for few rows
    assert (first.cached_inputs, again.labeled, again.cached_inputs) == (0, 6, 4)
    assert 0 < again.prompt_tokens < first.prompt_tokens
    assert "4 answers were in the cache" in str(again)
    for number, row in rows_of(small).items():
        if number < 4:  # when it was computed, and by what, stays true
            expected = before[number].label.asDict() | {"pass_id": again.pass_id}
            assert row.label.asDict() == expected


def test_it_can_be_looked_at_and_cleared(spark, small, task, label, handed_back):
    with pytest.raises(TableError, match="no cache yet"):
        cache_summary(spark, small)
    spark.sql(f"INSERT INTO {small} VALUES (6, ' ')")
    label(small)
    (row,) = cache_summary(spark, small).collect()
    assert (row.task, row.model, row.answers) == ("verdict", "fake:m", 6), "a failure is not kept"
    with pytest.raises(TableError, match=r"(?s)no answers to the task 'another'.*answers to: verdict"):
        clear_cache(spark, small, "another")
    assert clear_cache(spark, small, task) == 6
    handed_back(small)
    assert label(small, cache=f"{open_snapshot(spark, small).location}/_sparklabel").cached_inputs == 0


def test_it_forgets_its_oldest_days(spark, small, label):
    label(small)
    cache = f"delta.`{open_snapshot(spark, small).location}/_sparklabel/cache`"
    today = spark.table(cache).where("day = current_date()")
    for age in (200, 2, 1):
        today.withColumn("day", F.date_sub("day", age)).write.insertInto(cache)
    tidy(spark, cache, most=12)
    days = spark.sql(
        f"SELECT datediff(current_date(), day) AS age FROM {cache} GROUP BY 1 ORDER BY 1"
    ).collect()
    assert [row.age for row in days] == [0, 1]


def test_tables_can_share_one_and_a_pass_can_do_without(spark, small, label, tmp_path):
    spark.sql(f"CREATE TABLE {small}_copy USING DELTA AS SELECT * FROM {small}")
    label(small, cache=str(tmp_path))
    assert label(f"{small}_copy", cache=False, where="id < 1").cached_inputs == 0
    assert label(f"{small}_copy", cache=str(tmp_path)).cached_inputs == 5
    spark.sql(f"DROP TABLE {small}_copy")


def test_a_folder_inside_a_table_is_refused(spark, small, label, version):
    inside = f"{open_snapshot(spark, small).location}/answers"
    for argument in ("cache", "staging"):
        with pytest.raises(TableError, match=rf"{argument}=.* lies in the folder of a Delta table"):
            label(small, **{argument: inside})
    assert version(small) == 0
    hidden = f"{open_snapshot(spark, small).location}/_answers"  # a VACUUM passes it by
    assert label(small, cache=hidden, staging=hidden).labeled == 6


def test_one_that_cannot_be_used_is_told_in_the_report(small, label):
    report = label(small, cache="/proc/nowhere")
    assert report.labeled == 6
    assert "answers could not be added to the cache /proc/nowhere/cache" in str(report)
