"""Answers that were given before are not computed again.

One table is labeled and its labels taken away in turn; each test looks at one pass.
"""

from types import SimpleNamespace

import pytest
from pyspark.sql import functions as F

from sparklabel import cache_summary, clear_cache
from sparklabel.delta.snapshot import open_snapshot
from sparklabel.errors import TableError
from sparklabel.labeling.state.answer_cache import trim


@pytest.fixture(scope="module")
def story(spark, label, task, rows_of):
    """What passes, the summary and a clearing of the cache found; the table's last row is blank."""
    table, seen = "default.remembered", SimpleNamespace()
    spark.sql(f"DROP TABLE IF EXISTS {table}")
    spark.sql(
        f"CREATE TABLE {table} USING DELTA AS SELECT id, if(id = 6, ' ', concat('fresh ', id)) AS text FROM range(7)"
    )

    def anew(**options):
        spark.sql(f"UPDATE {table} SET verdict = NULL, verdict_label = NULL").collect()
        return label(table, **options)

    with pytest.raises(TableError, match="no cache yet"):
        cache_summary(spark, table)
    seen.location = open_snapshot(spark, table).location
    default = f"{seen.location}/_sparklabel"  # named: a small pass would not ask it
    seen.first, seen.before = label(table, where="id < 4", cache=default), rows_of(table)
    seen.again, seen.after = anew(cache=default), rows_of(table)
    seen.summary = cache_summary(spark, table).collect()
    with pytest.raises(TableError, match=r"(?s)no answers to the task 'another'.*answers to: verdict"):
        clear_cache(spark, table, "another")
    seen.cleared = clear_cache(spark, table, task), cache_summary(spark, table).collect()
    seen.unusable = anew(where="id = 0", cache="/proc/nowhere")
    seen.shared = f"{seen.location}/_answers"  # inside the table, but a VACUUM passes over it
    seen.sharing = anew(where="id < 6", cache=seen.shared, staging=seen.shared)
    yield seen
    spark.sql(f"DROP TABLE {table}")


def test_cached_answers_are_not_computed_again(story):
    assert (story.first.cached_inputs, story.again.labeled, story.again.cached_inputs) == (0, 7, 4)
    assert 0 < story.again.prompt_tokens < story.first.prompt_tokens
    assert "4 answers were in the cache" in str(story.again)


def test_a_cached_answer_keeps_when_and_by_which_model_it_was_computed(story):
    for row in range(4):
        expected = story.before[row].label.asDict() | {"pass_id": story.again.pass_id}
        assert story.after[row].label.asDict() == expected


def test_the_summary_counts_answers_by_task_and_model_and_no_failures(story):
    (row,) = story.summary
    assert (row.task, row.model, row.answers) == ("verdict", "fake:m", 6)


def test_cleared_answers_are_gone(story):
    assert story.cleared == (6, [])


def test_the_report_names_a_cache_that_cannot_be_used(story):
    assert story.unusable.labeled == 1
    assert "answers could not be added to the cache /proc/nowhere/cache" in str(story.unusable)


def test_tables_can_share_a_cache_and_a_pass_can_do_without_one(small, label, story):
    assert (story.sharing.labeled, story.sharing.cached_inputs) == (6, 0)
    assert label(small, cache=False, where="id < 1").cached_inputs == 0
    assert label(small, cache=story.shared).cached_inputs == 5


def test_a_cache_forgets_its_oldest_days(spark, story):
    cache = f"delta.`{story.shared}/cache`"
    today = spark.table(cache).where("day = current_date()")
    for age in (200, 2, 1):
        today.withColumn("day", F.date_sub("day", age)).write.insertInto(cache)
    trim(spark, cache, most=12)
    days = spark.sql(
        f"SELECT datediff(current_date(), day) AS age FROM {cache} GROUP BY 1 ORDER BY 1"
    ).collect()
    assert [row.age for row in days] == [0, 1]


@pytest.mark.parametrize("argument", ["cache", "staging"])
def test_a_folder_inside_a_table_is_refused(spark, story, small, label, version, argument):
    with pytest.raises(TableError, match=rf"{argument}=.* lies in the folder of a Delta table"):
        label(small, **{argument: f"{story.location}/answers"})
    assert version(small) == 0
