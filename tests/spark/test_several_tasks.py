"""Several tasks in one call: a pass each, one MERGE for all."""

import json

import pytest

from sparklabel import classification, passes, undo_pass
from sparklabel.errors import ColumnError, TaskError

VERDICT = classification("verdict", "text", ["fresh", "rotten"], "Judge.")
TONE = classification("tone", "text", ["fresh", "calm"], "Which tone?")


@pytest.fixture
def both(small, label):
    """A table that both tasks have labeled, and the reports."""
    return small, label(small, task=[VERDICT, TONE])


def test_each_task_has_its_columns_and_one_merge_wrote_them(spark, both):
    table, reports = both
    rows = spark.sql(f"SELECT verdict, tone, verdict_label, tone_label FROM {table}").collect()
    assert [(row.verdict, row.tone) for row in rows] == [("fresh", "fresh")] * 6
    assert [r.task for r in reports] == ["verdict", "tone"]
    assert [r.labeled for r in reports] == [6, 6]
    for name, report in zip(("verdict_label", "tone_label"), reports, strict=True):
        assert {row[name].pass_id for row in rows} == {report.pass_id}
    history = spark.sql(f"DESCRIBE HISTORY {table}").collect()
    merges = [row for row in history if row.operation == "MERGE"]
    assert len(merges) == 1
    said = json.loads(merges[0].userMetadata)["sparklabel"]["passes"]
    assert [one["task"] for one in said] == ["verdict", "tone"]


def test_one_of_the_passes_is_taken_back_alone(spark, both):
    table, (verdict, tone) = both
    listed = {row.pass_id: row for row in passes(spark, table).collect()}
    assert {listed[r.pass_id].task for r in (verdict, tone)} == {"verdict", "tone"}
    assert listed[tone.pass_id].rows is None, "of one commit nobody knows whose its rows are"
    assert undo_pass(spark, table, tone.pass_id).put_back == 6
    row = spark.sql(f"SELECT count(verdict) AS kept, count(tone_label) AS tones FROM {table}").first()
    assert (row.kept, row.tones) == (6, 0)


def test_a_row_that_only_one_task_has_to_answer_keeps_the_others_label(spark, both, label):
    table, (verdict, _) = both
    spark.sql(f"UPDATE {table} SET tone = NULL, tone_label = NULL WHERE id = 1")
    spark.sql(f"UPDATE {table} SET verdict = NULL, verdict_label = NULL WHERE id = 2")
    spark.sql(f"UPDATE {table} SET verdict = 'rotten', verdict_label.source = 'human' WHERE id = 1")
    reports = label(table, task=[VERDICT, TONE])
    assert [report.labeled for report in reports] == [1, 1]
    rows = {row.id: row for row in spark.sql(f"SELECT * FROM {table}").collect()}
    assert (rows[1].verdict, rows[1].tone, rows[2].verdict) == ("rotten", "fresh", "fresh")
    assert rows[3].verdict_label.pass_id == verdict.pass_id


def test_labels_of_several_tasks_go_into_one_table_apart(spark, small, label):
    label(small, task=[VERDICT, TONE], into=f"{small}_labels")
    rows = spark.sql(f"SELECT verdict, tone FROM {small}_labels").collect()
    assert [tuple(row) for row in rows] == [("fresh", "fresh")] * 6
    spark.sql(f"DROP TABLE {small}_labels")


def test_each_task_can_have_a_model_of_its_own(small, label):
    verdict, tone = label(small, task=[VERDICT, TONE], model={"verdict": "a", "tone": "b"}, dry_run=True)
    assert (verdict.model, tone.model) == ("fake:a", "fake:b")


def test_what_one_task_answered_is_written_although_the_next_one_fails(spark, forty, label, behind_chunk):
    passes_seen = set()

    def break_the_second(line):
        passes_seen.add(line["pass_id"])
        if len(passes_seen) == 2:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), behind_chunk(break_the_second):
        label(forty, task=[VERDICT, TONE])
    row = spark.sql(f"SELECT count(verdict) AS verdicts, count(tone) AS tones FROM {forty}").first()
    assert (row.verdicts, row.tones) == (40, 0)
    assert label(forty, task=TONE).resumed_inputs > 0, "what was staged waits for the next call"


@pytest.mark.parametrize(
    ("tasks", "options", "error", "says"),
    [
        ([], {}, TaskError, "is empty"),
        ([VERDICT, VERDICT], {}, TaskError, "have the name 'verdict'"),
        ([VERDICT, TONE], {"column": "x"}, ColumnError, "column of one task"),
        ([VERDICT, TONE], {"model": {"verdict": "a"}}, TaskError, "models for verdict"),
        (
            [VERDICT, classification("verdict_label", "text", ["a", "b"])],
            {},
            ColumnError,
            "write the column 'verdict_label'",
        ),
        ([TONE, classification("reply", ["text", "tone"], ["a", "b"])], {}, ColumnError, "in two calls"),
    ],
)
def test_tasks_that_cannot_go_together_are_refused(small, label, version, tasks, options, error, says):
    with pytest.raises(error, match=says):
        label(small, task=tasks, **options)
    assert version(small) == 0
