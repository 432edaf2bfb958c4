"""A labeled table that is made anew upstream, and people's answers put back from its history."""

import logging
from types import SimpleNamespace

import pytest

from sparklabel import open_table, passes, restore_answers, undo_pass
from sparklabel.errors import KeyColumnError, TableError

ROWS = "SELECT id, if(id = 3, 'another text', concat('fresh ', id)) AS text FROM range(5)"
WAYS = {
    "CREATE OR REPLACE": ["CREATE OR REPLACE TABLE {table} USING DELTA AS {rows}"],
    "an overwrite": ["INSERT OVERWRITE {table} (id, text) {rows}"],
    "DELETE and INSERT": ["DELETE FROM {table}", "INSERT INTO {table} (id, text) {rows}"],
    "TRUNCATE and INSERT": ["TRUNCATE TABLE {table}", "INSERT INTO {table} (id, text) {rows}"],
}


@pytest.fixture(scope="module")
def made_anew(spark):
    def run(table, way="CREATE OR REPLACE", rows=ROWS):
        for statement in WAYS[way]:
            spark.sql(statement.format(table=table, rows=rows))

    return run


@pytest.fixture(scope="module")
def labeled(spark, label, version):
    """A table in which people answered rows 0 (a plain UPDATE), 1 (confirmed), 3 and 5; and its version then."""
    table = "default.restored"
    spark.sql(f"DROP TABLE IF EXISTS {table}")
    spark.sql(f"CREATE TABLE {table} USING DELTA AS SELECT id, concat('fresh ', id) AS text FROM range(6)")
    label(table)
    spark.sql(
        f"UPDATE {table} SET verdict = if(id = 1, verdict, 'rotten'), verdict_label.source = if(id = 1, 'human', "
        "verdict_label.source), verdict_label.reviewer = if(id = 1, 'kim', NULL) WHERE id IN (0, 1, 3, 5)"
    )
    yield table, version(table)
    spark.sql(f"DROP TABLE {table}")


@pytest.fixture
def answered(spark, labeled):
    """That table, as it was then."""
    table, then = labeled
    spark.sql(f"RESTORE TABLE {table} TO VERSION AS OF {then}")
    return table


def counts(report):
    return (report.restored, report.answered_since, report.input_changed, report.gone)


@pytest.mark.parametrize("way", WAYS)
def test_answers_go_back_into_rows_with_the_same_key_and_text(
    spark, answered, made_anew, task, rows_of, version, way
):
    last = version(answered)
    made_anew(answered, way)
    report = restore_answers(spark, answered, task)
    assert (report.version, *counts(report)) == (last, 2, 0, 1, 1)
    rows = rows_of(answered)
    assert {i: row.value for i, row in rows.items()} == {0: "rotten", 1: "fresh", 2: None, 3: None, 4: None}
    assert (rows[1].label.source, rows[1].label.reviewer) == ("human", "kim")
    assert str(report) == (
        f"{answered}: 2 rows got back people's answers of version {last}; not those of 1 rows whose text has changed; "
        "not those of 1 rows that the table has no longer"
    )


@pytest.fixture(scope="module")
def story(spark, labeled, made_anew, task, label, rows_of, version):
    """Made anew, looked at, labeled, one row answered by a person, restored."""
    (table, then), seen, told = labeled, SimpleNamespace(), []
    spark.sql(f"RESTORE TABLE {table} TO VERSION AS OF {then}")
    seen.said = (
        f"4 answers of people are in version {version(table)} of {table} and not in the table as it is now"
    )
    made_anew(table)
    log, handler = logging.getLogger("sparklabel"), logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())
    log.addHandler(handler)
    seen.dry, seen.told_dry = label(table, dry_run=True), list(told)
    seen.report, seen.told = label(table), list(told)
    log.removeHandler(handler)
    spark.sql(f"UPDATE {table} SET verdict = 'rotten' WHERE id = 1")
    seen.restored, seen.rows = restore_answers(spark, table, task), rows_of(table)
    seen.newest = passes(spark, table).first()
    seen.next = label(table)
    return seen


def test_a_pass_says_first_that_answers_were_lost(story):
    assert story.said in str(story.dry)
    assert story.told_dry == []
    assert story.report.lost_answers.startswith(story.said)
    assert story.told[0] == story.report.lost_answers


def test_answers_replace_the_models_after_a_pass_but_not_those_that_people_gave_since(story):
    assert counts(story.restored) == (1, 1, 1, 1)
    assert [story.rows[i].value for i in range(3)] == ["rotten", "rotten", "fresh"]


def test_a_pass_after_the_restoring_keeps_the_answers_and_says_no_more(story):
    assert (story.next.human_kept, story.next.pending, story.next.lost_answers) == (2, 0, "")


def test_the_restoring_is_listed_with_the_passes(story):
    assert (story.newest.task, story.newest.rows, story.newest.model) == ("verdict", 1, None)


def test_a_table_without_answers_of_people_is_made_anew_without_a_word(small, made_anew, label):
    assert label(small).lost_answers == ""
    made_anew(small)
    assert label(small, dry_run=True).lost_answers == ""


def test_an_answer_to_a_text_that_no_pass_has_seen_goes_back_by_the_text(spark, answered, made_anew, task):
    spark.sql(f"INSERT INTO {answered} (id, text, verdict) VALUES (9, 'unseen', 'rotten')")
    made_anew(answered, rows="SELECT * FROM VALUES (9L, 'unseen') AS t(id, text)")
    assert counts(restore_answers(spark, answered, task)) == (1, 0, 0, 4)


def test_the_answers_come_from_the_newest_version_that_has_any(spark, answered, made_anew, task, version):
    last = version(answered)
    for way in ("an overwrite", "an overwrite", "CREATE OR REPLACE", "CREATE OR REPLACE"):
        made_anew(answered, way)
    assert restore_answers(spark, answered, task, dry_run=True).version == last


def test_answers_come_back_from_before_a_restore_to_a_version_without_labels(
    spark, answered, task, label, version
):
    last = version(answered)
    spark.sql(f"RESTORE TABLE {answered} TO VERSION AS OF 0")
    assert label(answered, dry_run=True).lost_answers.startswith(
        f"4 answers of people are in version {last} of"
    )
    assert counts(restore_answers(spark, answered, task)) == (4, 0, 0, 0)


def test_a_restore_to_earlier_labels_loses_nothing(spark, small, task, label, version):
    label(small)
    labeled = version(small)
    spark.sql(f"UPDATE {small} SET verdict = 'rotten'")
    spark.sql(f"RESTORE TABLE {small} TO VERSION AS OF {labeled}")
    assert restore_answers(spark, small, task).version is None


def test_a_dry_run_counts_and_writes_nothing(spark, answered, made_anew, task, version):
    made_anew(answered)
    before = version(answered)
    report = restore_answers(spark, answered, task, dry_run=True)
    assert counts(report) == (2, 0, 1, 1)
    assert "2 rows would get back" in str(report)
    assert version(answered) == before


def test_a_version_can_be_named(spark, answered, task, version):
    last = version(answered)
    spark.sql(f"UPDATE {answered} SET verdict = verdict_label.value WHERE id = 0")
    assert restore_answers(spark, answered, task, from_version=last, dry_run=True).restored == 1


def test_a_table_without_passes_and_one_that_lost_nothing_and_a_version_without_labels(
    spark, small, task, label
):
    with pytest.raises(TableError, match="has no pass of the task 'verdict'"):
        restore_answers(spark, small, task)
    label(small)
    report = restore_answers(spark, small, task)
    assert report.version is None
    assert "nothing to restore" in str(report)
    with pytest.raises(TableError, match=r"Version 0 of .* has no labels of the task"):
        restore_answers(spark, small, task, from_version=0)
    with pytest.raises(TableError, match=r"has no version 99: its newest is \d+\."):
        restore_answers(spark, small, task, from_version=99)


def test_a_version_whose_files_are_gone_is_named_and_a_pass_goes_on(spark, small, made_anew, task, label):
    label(small)
    spark.sql(f"UPDATE {small} SET verdict = 'rotten'")
    made_anew(small)
    zero = "'delta.deletedFileRetentionDuration' = 'interval 0 hours'"
    spark.sql(f"ALTER TABLE {small} SET TBLPROPERTIES ({zero})")
    spark.sql(f"VACUUM {small} RETAIN 0 HOURS")
    with pytest.raises(TableError, match=r"Version \d+ of .* cannot be read any more"):
        restore_answers(spark, small, task)
    assert label(small, dry_run=True).lost_answers == ""


def test_two_answers_for_one_key_are_refused(spark, answered, made_anew, task):
    spark.sql(f"INSERT INTO {answered} (id, text, verdict) VALUES (0, 'fresh 0', 'fresh')")
    made_anew(answered)
    with pytest.raises(KeyColumnError, match="not unique"):
        restore_answers(spark, answered, task)


def test_two_rows_of_one_key_that_an_answer_is_for_are_refused(spark, answered, made_anew, task):
    made_anew(answered, "DELETE and INSERT", f"{ROWS} UNION ALL SELECT 1, 'fresh 1'")
    with pytest.raises(
        KeyColumnError, match=rf"key id of {answered} is not unique; found more than once: 1\."
    ):
        restore_answers(spark, answered, task)


def test_an_opened_table_restores_its_answers(spark, answered, made_anew, task):
    made_anew(answered)
    assert open_table(spark, answered, task, key="id").restore_answers(dry_run=True).restored == 2
    with pytest.raises(TableError, match="stay there when"):
        open_table(spark, answered, task, key="id", into="labels").restore_answers()


def test_a_restoring_is_not_undone_as_a_pass_and_the_way_back_is_named(
    spark, answered, made_anew, task, version
):
    made_anew(answered)
    restore_answers(spark, answered, task)
    restoring = passes(spark, answered).first()
    with pytest.raises(TableError, match="is not a pass: it put back people's answers") as caught:
        undo_pass(spark, answered, restoring.pass_id)
    assert caught.value.hint.endswith(f" TO VERSION AS OF {version(answered) - 1}.")
