"""What passes left of rows that are gone is removed; what belongs to rows that are there stays."""

import json
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from pyspark.sql import functions as F

from sparklabel import generation, tidy
from sparklabel.delta.snapshot import open_snapshot
from sparklabel.errors import TableError
from sparklabel.labeling.executor import ensure_columns, staging_of
from sparklabel.labeling.request import PassRequest
from sparklabel.labeling.state.lease import Lease
from sparklabel.labels.predicates import input_hash_sql
from sparklabel.sql import sql_string
from sparklabel.table.row_states import ANSWER, HASH
from sparklabel.table.task_table import open_task_table
from sparklabel.udf import labeler_spec

GIST = generation("gist", "text", "Repeat the text.")


class Meanwhile:
    """A session in which something happens before the first MERGE."""

    def __init__(self, spark, happens):
        self._spark, self._happens = spark, [happens]

    def __getattr__(self, name):
        return getattr(self._spark, name)

    def sql(self, text):
        if text.startswith("MERGE") and self._happens:
            self._happens.pop()()
        return self._spark.sql(text)


def arrive(spark, table, staging):
    """A row comes, and a pass stages its answer."""
    spark.sql(f"INSERT INTO {table} (id, text) VALUES (11, 'fresh 11')")
    any_answer = spark.sql(f"SELECT answer AS {ANSWER} FROM {staging.sql} LIMIT 1")
    arrived = spark.sql(f"SELECT {input_hash_sql(['text'])} AS {HASH} FROM {table} WHERE id = 11")
    value = F.col(ANSWER).withField("value", F.lit("fresh 11")).alias(ANSWER)
    staging.append(arrived.crossJoin(any_answer).select(HASH, value), 2)


@pytest.fixture(scope="module")
def story(spark, label):
    """A table of which three rows of six were deleted, with the answers to all of them in its cache and, as a dead pass
    leaves them, in staging: tidied, and tidied again when the files may go at once."""
    table = "default.to_tidy"
    spark.sql(f"DROP TABLE IF EXISTS {table}")
    spark.sql(f"CREATE TABLE {table} USING DELTA AS SELECT id, concat('fresh ', id) AS text FROM range(6)")
    seen = SimpleNamespace(table=table, untouched=tidy(spark, table))
    location = spark.sql(f"DESCRIBE DETAIL {table}").first().location
    label(table, GIST, cache=f"{location}/_sparklabel")  # named: a small pass would fill none
    request = PassRequest(labeler_spec(GIST, "m", "fake", {}), open_task_table(spark, table, GIST))
    staging = staging_of(spark, request, ensure_columns(spark, request))
    answers = spark.table(table).selectExpr(f"gist_label.input_hash AS {HASH}", f"gist_label AS {ANSWER}")
    staging.append(answers, 1)
    spark.sql(f"DELETE FROM {table} WHERE id < 3")
    spark.sql(f"INSERT INTO {table} (id, text) VALUES (10, 'fresh 2')")
    inputs = {"not noted": {}, "renamed": {"inputs": ["body"]}, "known": {"inputs": ["text"]}}
    seen.unknown = {}
    for which, noted in inputs.items():
        content = json.dumps({"column": "gist", "key": ["id"]} | noted)
        spark.sql(f"ALTER TABLE {table} SET TBLPROPERTIES ('sparklabel.task.gist' = {sql_string(content)})")
        if which != "known":
            seen.unknown[which] = tidy(spark, table)
    todo = f"delta.`{staging.path}-todo`"
    spark.sql(f"CREATE TABLE {todo} (text STRING) USING DELTA").collect()
    spark.sql(f"INSERT INTO {todo} VALUES ('fresh 0')")
    seen.began = datetime.now().astimezone()
    seen.first = tidy(Meanwhile(spark, lambda: arrive(spark, table, staging)), table)
    seen.repeated = tidy(spark, table)
    seen.left = {row.value for row in spark.sql(f"SELECT answer.value FROM {staging.sql}").collect()}
    seen.texts = spark.sql(f"SELECT * FROM {todo}").count()
    spark.sql(
        f"ALTER TABLE {table} SET TBLPROPERTIES ('delta.deletedFileRetentionDuration' = 'interval 0 hours')"
    )
    with Lease(spark, staging, None, print):
        seen.during_a_pass = tidy(spark, table)
    seen.second = tidy(spark, table)
    seen.files = {row[0] for row in spark.read.parquet(staging.path).select("answer.value").collect()}
    seen.properties = open_snapshot(spark, staging.sql).properties
    yield seen
    spark.sql(f"DROP TABLE {table}")


def test_answers_to_texts_that_are_gone_are_removed_and_the_others_kept(story):
    assert (story.first.staged, story.first.cached) == (3, 2)
    assert story.left - {"fresh 11"} == {f"fresh {number}" for number in (2, 3, 4, 5)}


@pytest.mark.parametrize("inputs", ["not noted", "renamed"])
def test_answers_to_a_task_whose_inputs_are_unknown_are_left_alone(story, inputs):
    report = story.unknown[inputs]
    assert (report.staged, report.cached, report.left) == (0, 0, ("gist",))
    assert "left alone: answers to gist" in str(report)
    assert story.first.left == ()


def test_a_row_that_arrives_meanwhile_keeps_its_staged_answer(story):
    assert "fresh 11" in story.left


def test_texts_that_an_earlier_release_kept_beside_staging_are_removed(story):
    assert story.texts == 0


def test_the_report_says_when_the_files_can_be_deleted(story):
    wait = story.first.again_at - story.began
    assert timedelta(minutes=59) < wait < timedelta(minutes=90)
    assert "3 rows removed from staging, 2 from the cache; files of 3 tables vacuumed" in str(story.first)
    assert f"call again after {story.first.again_at:%H:%M}" in str(story.first)


def test_a_call_that_removes_nothing_says_when_the_files_of_the_one_before_can_be_deleted(story):
    assert (story.repeated.staged, story.repeated.cached) == (0, 0)
    assert timedelta(0) <= story.repeated.again_at - story.first.again_at < timedelta(seconds=1)


def test_with_a_shorter_retention_of_the_table_the_files_are_deleted_at_once(story):
    assert story.second.again_at is None
    assert story.files == story.left


def test_files_that_a_running_pass_may_read_stay_for_an_hour(story):
    assert story.during_a_pass.again_at == story.repeated.again_at


def test_passes_find_the_retention_that_they_rely_on(story):
    assert story.properties["delta.deletedFileRetentionDuration"] == "interval 1 hour"


def test_a_table_that_was_never_labeled_has_nothing_to_tidy(story):
    assert str(story.untouched) == f"{story.table}: passes have left nothing"


def test_folders_that_passes_were_given_are_named_and_any_folder_can_be_the_tables(spark, label, tmp_path):
    table, staging, cache = (f"{tmp_path}/{name}" for name in ("a [table], 100%", "st{a}ge", "ca*che"))
    spark.sql(
        f"CREATE TABLE delta.`{table}` USING DELTA AS SELECT id, concat('fresh ', id) AS text FROM range(3)"
    )
    label(table, GIST, staging=staging, cache=cache, into=f"{tmp_path}/labels")
    spark.sql(f"DELETE FROM delta.`{table}` WHERE id = 0")
    report = tidy(spark, table, staging=staging, cache=cache, into=f"{tmp_path}/labels")
    assert (report.staged, report.cached, len(report.tables)) == (0, 1, 2)
    logs = [file.read_text() for name in ("st{a}ge", "ca*che") for file in (tmp_path / name).rglob("*.json")]
    assert not any("fresh 0" in log for log in logs)


def test_a_relative_folder_is_refused(spark, story):
    with pytest.raises(TableError, match="staging='here' is not an absolute path"):
        tidy(spark, story.table, staging="here")
