"""Cascades: a cheap model answers what it is sure of, and a second one the rest."""

import pytest
from pyspark.sql import functions as F

import sparklabel as sl
from sparklabel.errors import AnswersError, ModelError, SetupError

TASK = sl.classification("verdict", "text", ["fresh", "rotten"], "Judge.")
FIRST, SECOND = "fake:small", "fake:large"
SURE, UNSURE = 8, 4
"""The fake engine is sure of a text that has a label in it."""

pytestmark = pytest.mark.usefixtures("mlflow_store")


@pytest.fixture
def reviews(spark, request):
    """A table whose rows below `sure` name a label."""
    table = f"default.{request.node.name.partition('[')[0][:60]}"

    def make(sure=SURE, unsure=UNSURE):
        text = (
            f"if(id < {sure}, concat('it is ', if(id % 2 = 0, 'fresh ', 'rotten '), id), concat('row ', id))"
        )
        spark.sql(
            f"CREATE TABLE {table} USING DELTA AS SELECT id, {text} AS text FROM range({sure + unsure})"
        )
        return table

    yield make
    spark.sql(f"DROP TABLE IF EXISTS {table}")


def label(spark, table, **options):
    asked = {"key": "id", "model": "small", "engine": "fake", "fallback": "large", "fallback_below": 0.8}
    return sl.label_table(spark, table, TASK, progress=False, **asked | options)


def who(spark, table):
    return {row.id: row.model for row in spark.table(table).select("id", "verdict_label.model").collect()}


EXPECTED = {number: FIRST if number < SURE else SECOND for number in range(SURE + UNSURE)}


def test_each_label_says_which_model_answered(spark, reviews):
    table = reviews()
    report = label(spark, table)
    assert who(spark, table) == EXPECTED
    assert report.by_model == {FIRST: SURE, SECOND: UNSURE}
    assert f"answered by {FIRST}: 8 (67%); by {SECOND}: 4 (33%)" in str(report)
    assert "the fallback was asked where the first model's confidence was below 0.8" in str(report)
    assert label(spark, table, relabel="model").pending == 0


def test_the_answer_is_that_of_the_model_alone(spark, reviews):
    table = reviews()
    label(spark, table)
    alone = sl.label_udf(TASK, "large", "fake")("text")
    rows = spark.table(table).where(f"id >= {SURE}").select("verdict_label", alone.alias("alone")).collect()
    assert [row.verdict_label.value for row in rows] == [row.alone.value for row in rows]
    assert [row.verdict_label.confidence for row in rows] == [row.alone.confidence for row in rows]


def test_a_staged_pass_and_the_cache_keep_who_answered(spark, reviews, tmp_path):
    table = reviews()
    label(spark, table, staging=str(tmp_path / "staging"), cache=str(tmp_path / "cache"))
    assert who(spark, table) == EXPECTED
    spark.sql(f"UPDATE {table} SET verdict = NULL, verdict_label = NULL")
    report = label(spark, table, staging=str(tmp_path / "staging"), cache=str(tmp_path / "cache"))
    assert (report.cached_inputs, who(spark, table)) == (SURE + UNSURE, EXPECTED)


def test_a_higher_threshold_renews_the_answers_that_no_longer_stand(spark, reviews):
    table = reviews(2, 6)
    sl.label_table(spark, table, TASK, key="id", model="small", engine="fake", progress=False)
    assert label(spark, table, dry_run=True).new_model_would_add == 6
    label(spark, table, relabel="model")
    assert who(spark, table) == {number: FIRST if number < 2 else SECOND for number in range(8)}


def test_what_the_fallback_is_not_sure_of_either_is_withheld(spark, reviews):
    table = reviews()
    report = label(spark, table, min_confidence=0.8)
    assert report.by_status == {"ok": SURE, "uncertain": UNSURE}


def test_a_column_a_sql_function_and_a_stream_take_a_fallback(spark, reviews, tmp_path):
    table = reviews()
    options = {"engine": "fake", "fallback": "large", "fallback_below": 0.8}
    column = sl.label_udf(TASK, "small", **options)("text")
    sl.register(spark, TASK, "small", name="judge", **options)
    found = spark.table(table).select(
        "id", column.model.alias("column"), F.expr("judge(text).model").alias("sql")
    )
    assert {row.id: (row.column, row.sql) for row in found.collect()} == {
        n: (m, m) for n, m in EXPECTED.items()
    }
    stream = sl.label_stream(spark, table, TASK, key="id", checkpoint=str(tmp_path), model="small", **options)
    stream.awaitTermination()
    assert who(spark, table) == EXPECTED


def test_the_threshold_is_found_by_peoples_answers(spark, reviews, caplog):
    table = reviews(1000, 1000)
    sl.label_table(spark, table, TASK, key="id", model="large", engine="fake", progress=False)
    spark.sql(f"UPDATE {table} SET verdict_label.source = 'human'")  # the second is always right
    spark.sql(f"INSERT INTO {table} (id, text) VALUES (2000, 'it is fresh'), (2001, 'who knows')")
    report = label(spark, table, fallback_below="auto")
    assert report.by_model == {FIRST: 1, SECOND: 1}
    assert 0.6 < report.fallback_below < 1
    assert "held-out ones; with fake:large for the others" in caplog.text


def test_too_few_answers_find_no_threshold(spark, reviews):
    table = reviews()
    with pytest.raises(
        AnswersError, match=r"needs 100 held-out human answers, and .* has 0\.\n.*about 500 more rows"
    ):
        label(spark, table, fallback_below="auto")
    assert label(spark, table, fallback_below="auto", dry_run=True).pending == SURE + UNSURE


def test_both_prices_are_told(spark, reviews):
    report = label(spark, reviews(), cost_per_million_tokens=10.0)
    assert report.fallback_cost > 0
    assert "; the fallback alone about" in str(report)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"fallback": "small"}, SetupError, "fallback='small' is the model that is asked first, fake:small"),
        ({"fallback": None, "fallback_below": 0.5}, SetupError, "are about a fallback, and none is given"),
        ({"fallback_below": 0}, SetupError, "fallback_below=0 is not a confidence above 0"),
        ({"fallback_below": "high"}, SetupError, "fallback_below='high' is not a confidence"),
        ({"fallback_below": True}, SetupError, "fallback_below=True is not a confidence"),
        ({"fallback_engine": "transformers", "fallback": "/none"}, ModelError, "/none"),
        ({"fallback_engine": "fak"}, SetupError, "fake"),
    ],
)  # fmt: skip
def test_a_fallback_that_cannot_be_is_refused_before_anything_is_asked(
    spark, reviews, options, error, message
):
    table = reviews()
    with pytest.raises(error, match=message):
        label(spark, table, **options)
    assert "verdict" not in spark.table(table).columns


def test_a_function_finds_no_threshold():
    with pytest.raises(SetupError, match="a function or a stream reads none"):
        sl.label_udf(TASK, "small", "fake", fallback="large", fallback_below="auto")
    with pytest.raises(SetupError, match="fallback_below=None is not a confidence"):
        sl.label_udf(TASK, "small", "fake", fallback="large")
