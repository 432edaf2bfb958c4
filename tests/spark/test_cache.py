"""Answers that were given before are not computed again."""

import pytest

from sparklabel import cache_summary, classification, clear_cache
from sparklabel.errors import TableError


@pytest.fixture
def handed_back(spark):
    """Takes the labels from a table's rows, so that they are pending again."""
    return lambda table: spark.sql(f"UPDATE {table} SET verdict = NULL, verdict_label = NULL")


def test_an_answer_given_before_is_taken_from_the_cache(small, label, rows_of, handed_back):
    first, before = label(small), rows_of(small)
    handed_back(small)
    again = label(small)
    assert (first.cached_inputs, again.labeled, again.cached_inputs, again.prompt_tokens) == (0, 6, 6, 0)
    assert "6 answers were in the cache" in str(again)
    for number, row in rows_of(small).items():
        assert row.value == before[number].value
        assert row.label == before[number].label.__class__(
            **before[number].label.asDict() | {"pass_id": again.pass_id}
        )


def test_only_what_is_not_in_the_cache_is_computed(spark, small, label, handed_back):
    label(small, where="id < 4")
    handed_back(small)
    report = label(small)
    assert (report.labeled, report.cached_inputs) == (6, 4)
    assert report.prompt_tokens > 0


@pytest.mark.parametrize("changed", [{"model": "another"}, {"min_confidence": 0.1}, {"cache": False}])
def test_another_question_is_asked_anew(small, label, handed_back, changed):
    label(small, where="id < 1")
    handed_back(small)
    assert label(small, where="id < 1", **changed).cached_inputs == 0


def test_other_instructions_are_another_question(small, label):
    label(small, where="id < 1")
    task = classification("verdict", "text", ["fresh", "rotten"], "Judge again.")
    report = label(small, where="id < 1", task=task)
    assert (report.labeled, report.cached_inputs) == (1, 0)


def test_tables_can_share_a_cache(spark, small, label, tmp_path):
    spark.sql(f"CREATE TABLE {small}_copy USING DELTA AS SELECT * FROM {small}")
    label(small, cache=str(tmp_path))
    report = label(f"{small}_copy", cache=str(tmp_path))
    assert (report.labeled, report.cached_inputs) == (6, 6)
    spark.sql(f"DROP TABLE {small}_copy")


def test_the_cache_can_be_looked_at_and_cleared(spark, small, label, handed_back):
    with pytest.raises(TableError, match="no cache yet"):
        cache_summary(spark, small)
    label(small)
    (row,) = cache_summary(spark, small).collect()
    assert (row.task, row.model, row.answers) == ("verdict", "fake:m", 6)
    assert (clear_cache(spark, small, "another"), clear_cache(spark, small)) == (0, 6)
    handed_back(small)
    assert label(small).cached_inputs == 0


def test_failures_are_not_kept(spark, small, label):
    spark.sql(f"INSERT INTO {small} VALUES (6, ' ')")
    label(small)
    assert cache_summary(spark, small).collect()[0].answers == 6


@pytest.mark.parametrize("folder", ["relative", 7, None])
def test_what_is_no_folder_is_refused(small, label, folder):
    with pytest.raises(TableError, match="cache="):
        label(small, cache=folder)
