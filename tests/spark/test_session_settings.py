"""Settings of a session that change what a statement means: passes write the same under each."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from sparklabel import undo_pass

DELTA = "spark.databricks.delta"
SETTINGS = {
    "what strict shops set": {
        f"{DELTA}.schema.autoMerge.enabled": "true",
        "spark.sql.timestampType": "TIMESTAMP_NTZ",
        "spark.sql.caseSensitive": "true",
        "spark.sql.storeAssignmentPolicy": "STRICT",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.ansi.doubleQuotedIdentifiers": "true",
        "spark.sql.ansi.enforceReservedKeywords": "true",
        "spark.sql.execution.arrow.useLargeVarTypes": "true",
        "spark.sql.session.timeZone": "Asia/Kathmandu",
    },
    "what old jobs set": {
        "spark.sql.ansi.enabled": "false",
        "spark.sql.storeAssignmentPolicy": "LEGACY",
        "spark.sql.parser.escapedStringLiterals": "true",
        "spark.sql.legacy.charVarcharAsString": "true",
        "spark.sql.analyzer.failAmbiguousSelfJoin": "true",
        "spark.sql.crossJoin.enabled": "false",
        "spark.sql.legacy.timeParserPolicy": "LEGACY",
        "spark.sql.mapKeyDedupPolicy": "LAST_WIN",
        "spark.sql.adaptive.enabled": "false",
    },
}


@contextmanager
def session_with(spark, settings):
    before = {name: spark.conf.get(name, None) for name in settings}
    try:
        for name, value in settings.items():
            spark.conf.set(name, value)
        yield
    finally:
        for name, value in before.items():
            spark.conf.unset(name) if value is None else spark.conf.set(name, value)


@pytest.fixture(scope="module", params=SETTINGS)
def story(spark, label, rows_of, tmp_path_factory, request):
    """Everything that writes: a first pass, a correction, a changed text, a staged pass, one into another table, an
    undo."""
    table, labels = "default.set_otherwise", "default.set_otherwise_labels"
    folder = tmp_path_factory.mktemp("staging")
    with session_with(spark, SETTINGS[request.param]):
        for name in (table, labels):
            spark.sql(f"DROP TABLE IF EXISTS {name}")
        spark.sql(
            f"CREATE TABLE {table} USING DELTA AS SELECT id, concat('fresh ', id) AS text FROM range(6)"
        )
        seen = SimpleNamespace(first=label(table))
        spark.sql(f"UPDATE {table} SET verdict = 'rotten' WHERE id = 0")
        spark.sql(f"UPDATE {table} SET text = 'rotten now' WHERE id = 1")
        seen.staged = label(table, staging=str(folder), where="text <> 'no'")
        seen.rows = rows_of(table)
        seen.apart = label(table, into=labels)
        seen.undone = undo_pass(spark, table, seen.staged.pass_id)
    yield seen
    for name in (table, labels):
        spark.sql(f"DROP TABLE {name}")


def test_each_row_gets_its_answer(story):
    assert (story.first.labeled, story.staged.labeled, story.apart.labeled) == (6, 1, 6)
    assert {number: row.value for number, row in story.rows.items()} == {
        0: "rotten", 1: "rotten", 2: "fresh", 3: "fresh", 4: "fresh", 5: "fresh",
    }  # fmt: skip


def test_a_correction_is_attributed_to_a_person(story):
    assert story.staged.corrections_stamped == 1
    assert (story.rows[0].label.source, story.rows[0].label.status) == ("human", "ok")


def test_a_pass_can_be_undone(story):
    assert story.undone.put_back == 1


def test_a_table_that_was_labeled_under_one_meaning_of_timestamp_is_labeled_under_the_other(
    spark, small, label, tmp_path
):
    staging = str(tmp_path)
    with session_with(spark, {"spark.sql.timestampType": "TIMESTAMP_NTZ"}):
        label(small, staging=staging, where="id < 3")
    assert label(small, staging=staging).labeled == 3
