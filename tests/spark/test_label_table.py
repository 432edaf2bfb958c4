"""Labeling in place, with the fake engine on real Delta tables.

A pass costs seconds, so one table's story is lived once, in a fixture, and each test looks at one thing in it.
"""

from types import SimpleNamespace

import pytest

from sparklabel import classification
from sparklabel.delta.snapshot import open_snapshot
from sparklabel.errors import ColumnError, TableError
from sparklabel.labels.record import input_hash
from sparklabel.table.history import pass_commits

CHANGED = classification("verdict", "text", ["fresh", "rotten"], "Judge the film.")
NAMES = {2: "NULL", 3: "''", 4: "'the same'", 5: "'the same'"}
"""Rows of the story with a text of their own; the others say `fresh N` or `rotten N`."""


@pytest.fixture(scope="module")
def story(spark, label, rows_of, version):
    """A table that is labeled, corrected, changed, and labeled again; what was seen on the way."""
    table, seen = "default.story", SimpleNamespace(table="default.story")
    texts = "CASE id " + "".join(f"WHEN {i} THEN {text} " for i, text in NAMES.items())
    spark.sql(f"DROP TABLE IF EXISTS {table}")
    spark.sql(
        f"CREATE TABLE {table} USING DELTA AS SELECT id, {texts} ELSE concat(if(id % 2 = 0, 'fresh ', 'rotten '), id) "
        "END AS text FROM range(30)"
    )
    seen.dry = label(table, dry_run=True)
    seen.after_dry = (version(table), spark.table(table).columns)
    seen.first, seen.labeled = label(table), rows_of(table)
    seen.second = label(table)
    spark.sql(f"UPDATE {table} SET verdict = NULL, verdict_label = NULL WHERE id = 15")
    spark.sql(
        f"UPDATE {table} SET verdict = CASE WHEN id IN (11, 13) THEN 'fresh' WHEN id = 16 THEN NULL ELSE verdict END, "
        "verdict_label.source = if(id IN (12, 14), 'human', verdict_label.source), "
        "text = if(id IN (10, 13, 14), 'rotten since', text) WHERE id BETWEEN 10 AND 19"
    )
    seen.planned = label(table, dry_run=True, max_new_corrections=2)
    seen.before_refusal = version(table)
    with pytest.raises(TableError, match="max_new_corrections=2") as refusal:
        label(table, max_new_corrections=2)
    seen.refusal, seen.after_refusal = refusal.value, version(table)
    seen.third, seen.corrected = label(table, max_new_corrections=3), rows_of(table)
    seen.model, seen.task, seen.both = (
        label(table, **options, dry_run=True)
        for options in (
            {"model": "m2", "relabel": "model"}, {"model": "m2"},
            {"task": CHANGED, "where": "id >= 10 AND id < 20"},
        )
    )  # fmt: skip
    seen.fourth = label(table, CHANGED, where="id >= 10 AND id < 20")
    seen.relabeled = rows_of(table)
    seen.commits = [commit.facts for commit in pass_commits(spark, open_snapshot(spark, table))]
    seen.history = spark.sql(f"DESCRIBE HISTORY {table}").select("operation", "userMetadata").collect()
    yield seen
    spark.sql(f"DROP TABLE {table}")


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(story):
    assert (story.dry.pending, story.dry.distinct_inputs, story.dry.states) == (30, 29, {"new": 30})
    assert story.dry.prompt_tokens > 0
    assert story.after_dry == (0, ["id", "text"])
    assert "would label 30 rows (29 distinct inputs)" in str(story.dry)


def test_the_first_pass_labels_every_row(story):
    assert (story.first.labeled, story.first.by_status) == (30, {"ok": 28, "empty_input": 2})
    fine = [row for i, row in story.labeled.items() if i not in NAMES]
    assert all(row.value == row.label.value == row.text.split()[0] for row in fine)
    assert {row.label.pass_id for row in fine} == {story.first.pass_id}


def test_rows_that_cannot_be_answered_have_a_status_and_no_value(story):
    assert [(story.labeled[i].value, story.labeled[i].label.status) for i in (2, 3)] == [
        (None, "empty_input")
    ] * 2


def test_equal_rows_are_computed_once_and_all_get_the_answer(story):
    assert story.labeled[4].label == story.labeled[5].label


def test_the_records_hash_is_that_of_the_row(story):
    assert story.labeled[6].label.input_hash == input_hash([b"fresh 6"])
    assert story.labeled[2].label.input_hash == input_hash([None])


def test_with_nothing_pending_no_version_is_committed(story):
    assert (story.second.pending, story.second.labeled) == (0, 0)
    assert story.second.version_after == story.second.version_before == story.first.version_after
    assert "nothing to do" in str(story.second)


def test_a_changed_input_is_pending_and_answered_anew(story):
    assert story.planned.states["input_changed"] == 1
    assert (story.corrected[10].value, story.corrected[10].label.pass_id) == ("rotten", story.third.pass_id)


def test_a_backfill_is_not_mistaken_for_human_answers(story):
    assert "3 rows of default.story" in story.refusal.message
    assert story.after_refusal == story.before_refusal


def test_a_dry_run_says_that_the_pass_would_be_refused(story):
    assert story.planned.new_corrections == 3
    assert "the pass would be refused: 3 rows of" in str(story.planned)


def test_an_implicit_correction_is_kept_and_stamped(story):
    row = story.corrected[11]
    assert (row.value, row.label.value, row.label.source) == ("fresh", "rotten", "human")
    assert row.label.reviewed_at is not None
    assert story.third.corrections_stamped == 3


def test_a_correction_to_null_is_a_correction(story):
    assert (story.corrected[16].value, story.corrected[16].label.source) == (None, "human")


def test_a_confirmed_answer_is_kept(story):
    assert story.corrected[12] == SimpleNamespace(
        **vars(story.labeled[12]) | {"label": story.corrected[12].label}
    )
    assert story.corrected[12].label.source == "human"


@pytest.mark.parametrize(("row", "value"), [(13, "fresh"), (14, "fresh")])
def test_a_human_answer_is_kept_although_its_input_changed(story, row, value):
    assert (story.corrected[row].value, story.corrected[row].label.source) == (value, "human")
    assert story.third.human_input_changed == 2
    assert story.third.human_kept == 5
    assert "review them" in str(story.third)


def test_a_row_handed_back_is_answered_by_the_model(story):
    assert (story.corrected[15].value, story.corrected[15].label.source) == ("rotten", "model")
    assert story.third.labeled == 2


def test_another_models_rows_are_counted_and_redone_only_when_that_is_asked(story):
    answered = 30 - 5 - 2
    assert (story.task.pending, story.task.new_model_would_add) == (0, answered)
    assert (story.model.pending, story.model.states["model_changed"]) == (answered, answered)


def test_a_changed_task_makes_rows_pending(story):
    assert story.both.states == {"human": 3, "human_input_changed": 2, "task_changed": 5}
    assert story.both.pending == 5


def test_a_condition_limits_the_pass_to_its_rows(story, task):
    assert story.fourth.labeled == 5
    redone = {i for i, row in story.relabeled.items() if row.label.pass_id == story.fourth.pass_id}
    assert redone == {10, 15, 17, 18, 19}
    assert story.relabeled[10].label.task_fingerprint == CHANGED.fingerprint
    assert story.relabeled[20].label.task_fingerprint == task.fingerprint


def test_human_answers_survive_every_pass(story):
    human = [i for i, row in story.relabeled.items() if row.label.source == "human"]
    assert human == [11, 12, 13, 14, 16]
    assert [story.relabeled[i].value for i in human] == ["fresh", "fresh", "fresh", "fresh", None]


def test_a_dry_run_after_a_pass_estimates_the_time(story):
    assert story.planned.estimated_seconds > 0


def test_commits_say_which_pass_task_and_model_made_them(story):
    passes = [commit["pass_id"] for commit in story.commits]
    assert list(dict.fromkeys(passes)) == [r.pass_id for r in (story.fourth, story.third, story.first)]
    assert story.commits[0]["task_fingerprint"] == CHANGED.fingerprint
    assert story.commits[0]["model"] == "fake:m"


def test_added_columns_and_properties_are_commits_of_the_pass_too(story):
    first = [c.operation for c in story.history if story.first.pass_id in (c.userMetadata or "")]
    assert first == ["MERGE", "SET TBLPROPERTIES", "ADD COLUMNS"]


def test_a_path_with_a_composite_key_and_a_column_of_its_own_is_adopted(spark, label, tmp_path):
    path = str(tmp_path / "table")
    spark.sql(
        f"CREATE TABLE delta.`{path}` USING DELTA AS SELECT id % 2 AS a, id div 2 AS b, concat('rotten ', id) AS text, "
        "if(id = 3, 'fresh', NULL) AS tone FROM range(6)"
    )
    options = {"key": ["a", "B"], "column": "tone"}
    with pytest.raises(ColumnError, match=r"has a column 'tone' that no labeling pass wrote\.\n.*adopt=True"):
        label(path, **options)
    report = label(path, **options, adopt=True)
    rows = spark.sql(f"SELECT text, tone, tone_label.source AS source FROM delta.`{path}`").collect()
    assert {(r.text, r.tone, r.source) for r in rows if r.text == "rotten 3"} == {
        ("rotten 3", "fresh", "human")
    }
    assert {(r.tone, r.source) for r in rows if r.text != "rotten 3"} == {("rotten", "model")}
    assert (report.labeled, report.human_kept, report.corrections_stamped) == (5, 1, 1)
    # The table remembers the column, so that nobody has to name it again, or can name another.
    assert label(path, key=["a", "b"], dry_run=True).pending == 0
    with pytest.raises(ColumnError, match="'verdict' writes the column 'tone'"):
        label(path, key=["a", "b"], column="other")


def test_columns_may_have_names_that_the_protocol_uses(spark, label, table):
    spark.sql(
        f"CREATE TABLE {table} USING DELTA AS SELECT id AS answer, 'fresh' AS `t.s`, id AS rows FROM range(3)"
    )
    task = classification("verdict", "t.s", ["fresh", "rotten"])
    assert label(table, task, key=["answer", "rows"]).labeled == 3
