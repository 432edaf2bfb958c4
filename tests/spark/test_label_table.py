"""Labeling in place, with the fake engine on real Delta tables.

A pass costs seconds, so one table's story is lived once, in a fixture, and each test looks at one thing in it.
"""

from types import SimpleNamespace

import pytest
from pyspark.sql import functions as F

from sparklabel import classification, label_table
from sparklabel.errors import ColumnError, KeyColumnError, ModelError, SparklabelError, TableError, TaskError
from sparklabel.labels import input_hash, input_hash_sql
from sparklabel.table.history import pass_commits
from sparklabel.table.passes import _Pass
from sparklabel.table.plan import ANSWER, HASH
from sparklabel.table.staging import open_staging
from sparklabel.table.target import Owned, add_columns, open_target, owned_columns
from sparklabel.udf import labeler_spec, udf_of

TASK = classification("verdict", "text", ["fresh", "rotten"], "Judge.")
CHANGED = classification("verdict", "text", ["fresh", "rotten"], "Judge the film.")
NAMES = {2: "NULL", 3: "''", 4: "'the same'", 5: "'the same'"}
"""Rows of the story with a text of their own; the others say `fresh N` or `rotten N`."""


def label(spark, table, task=TASK, **options):
    return label_table(
        spark, table, task, **{"key": "id", "model": "m", "engine": "fake", "progress": False} | options
    )


def version(spark, table):
    return spark.sql(f"DESCRIBE HISTORY {table} LIMIT 1").first()["version"]


def rows_of(spark, table):
    """The rows by id: value, and the record as a namespace (None where there is none)."""
    found = spark.sql(f"SELECT id, text, verdict AS value, verdict_label AS label FROM {table}").collect()
    return {row.id: SimpleNamespace(**row.asDict()) for row in found}


@pytest.fixture(scope="module")
def story(spark):
    """A table that is labelled, corrected, changed, and labelled again; what was seen on the way."""
    table, seen = "default.story", SimpleNamespace(table="default.story")
    texts = "CASE id " + "".join(f"WHEN {i} THEN {text} " for i, text in NAMES.items())
    spark.sql(f"DROP TABLE IF EXISTS {table}")
    spark.sql(
        f"CREATE TABLE {table} USING DELTA AS SELECT id, {texts} ELSE concat(if(id % 2 = 0, 'fresh ', 'rotten '), id) "
        "END AS text FROM range(30)"
    )
    seen.dry = label(spark, table, dry_run=True)
    seen.after_dry = (version(spark, table), spark.table(table).columns)
    seen.first, seen.labelled = label(spark, table), rows_of(spark, table)
    seen.second = label(spark, table)
    spark.sql(f"UPDATE {table} SET verdict = NULL, verdict_label = NULL WHERE id = 15")
    spark.sql(
        f"UPDATE {table} SET verdict = CASE WHEN id IN (11, 13) THEN 'fresh' WHEN id = 16 THEN NULL ELSE verdict END, "
        "verdict_label.source = if(id IN (12, 14), 'human', verdict_label.source), "
        "text = if(id IN (10, 13, 14), 'rotten since', text) WHERE id BETWEEN 10 AND 19"
    )
    seen.planned = label(spark, table, dry_run=True)
    seen.third, seen.corrected = label(spark, table), rows_of(spark, table)
    seen.model, seen.task, seen.none, seen.both = (
        label(spark, table, **options, dry_run=True)
        for options in (
            {"model": "m2", "relabel": "model"}, {"model": "m2"}, {"task": CHANGED, "relabel": "none"},
            {"task": CHANGED, "where": "id >= 10 AND id < 20"},
        )
    )  # fmt: skip
    seen.fourth = label(spark, table, CHANGED, where="id >= 10 AND id < 20")
    seen.relabelled = rows_of(spark, table)
    seen.commits = pass_commits(spark, open_target(spark, table), "verdict")
    yield seen
    spark.sql(f"DROP TABLE {table}")


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(story):
    assert (story.dry.pending, story.dry.distinct_inputs, story.dry.states) == (30, 29, {"new": 30})
    assert story.dry.prompt_tokens > 0
    assert story.after_dry == (0, ["id", "text"])
    assert "would label 30 rows (29 distinct inputs)" in str(story.dry)


def test_the_first_pass_labels_every_row(story):
    assert (story.first.labeled, story.first.by_status) == (30, {"ok": 28, "empty_input": 2})
    fine = [row for i, row in story.labelled.items() if i not in NAMES]
    assert all(row.value == row.label.value == row.text.split()[0] for row in fine)
    assert {row.label.pass_id for row in fine} == {story.first.pass_id}


def test_rows_that_cannot_be_answered_have_a_status_and_no_value(story):
    assert [(story.labelled[i].value, story.labelled[i].label.status) for i in (2, 3)] == [
        (None, "empty_input")
    ] * 2


def test_equal_rows_are_computed_once_and_all_written(story):
    assert story.labelled[4].label == story.labelled[5].label


def test_the_records_hash_is_that_of_the_row(story):
    assert story.labelled[6].label.input_hash == input_hash([b"fresh 6"])
    assert story.labelled[2].label.input_hash == input_hash([None])


def test_with_nothing_pending_no_version_is_committed(story):
    assert (story.second.pending, story.second.labeled) == (0, 0)
    assert story.second.version_after == story.second.version_before == story.first.version_after
    assert "nothing to do" in str(story.second)


def test_a_changed_input_is_pending_and_answered_anew(story):
    assert story.planned.states["input_changed"] == 1
    assert (story.corrected[10].value, story.corrected[10].label.pass_id) == ("rotten", story.third.pass_id)


def test_a_silent_correction_is_kept_and_stamped(story):
    row = story.corrected[11]
    assert (row.value, row.label.value, row.label.source) == ("fresh", "rotten", "human")
    assert row.label.reviewed_at is not None
    assert story.third.corrections_stamped == 3


def test_a_correction_to_null_is_a_correction(story):
    assert (story.corrected[16].value, story.corrected[16].label.source) == (None, "human")


def test_a_confirmed_answer_is_kept(story):
    assert story.corrected[12] == SimpleNamespace(
        **vars(story.labelled[12]) | {"label": story.corrected[12].label}
    )
    assert story.corrected[12].label.source == "human"


@pytest.mark.parametrize(("row", "value"), [(13, "fresh"), (14, "fresh")])
def test_a_human_answer_is_kept_although_its_input_changed(story, row, value):
    assert (story.corrected[row].value, story.corrected[row].label.source) == (value, "human")
    assert story.third.human_input_changed == 2
    assert story.third.human_kept == 5
    assert "look at them" in str(story.third)


def test_a_row_handed_back_is_answered_by_the_model(story):
    assert (story.corrected[15].value, story.corrected[15].label.source) == ("rotten", "model")
    assert story.third.labeled == 2


def test_another_models_rows_are_counted_and_redone_only_when_asked_for(story):
    answered = 30 - 5 - 2
    assert (story.task.pending, story.task.new_model_would_add) == (0, answered)
    assert (story.model.pending, story.model.states["model_changed"]) == (answered, answered)


def test_a_changed_task_makes_rows_pending_unless_relabel_is_none(story):
    assert story.both.states == {"human": 3, "human_input_changed": 2, "task_changed": 5}
    assert story.both.pending == 5
    assert story.none.pending == 0


def test_a_condition_narrows_the_pass(story):
    assert story.fourth.labeled == 5
    redone = {i for i, row in story.relabelled.items() if row.label.pass_id == story.fourth.pass_id}
    assert redone == {10, 15, 17, 18, 19}
    assert story.relabelled[10].label.task_fingerprint == CHANGED.fingerprint
    assert story.relabelled[20].label.task_fingerprint == TASK.fingerprint


def test_people_keep_their_answers_through_every_pass(story):
    human = [i for i, row in story.relabelled.items() if row.label.source == "human"]
    assert human == [11, 12, 13, 14, 16]
    assert [story.relabelled[i].value for i in human] == ["fresh", "fresh", "fresh", "fresh", None]


def test_a_dry_run_after_a_pass_estimates_the_time(story):
    assert story.planned.estimated_seconds > 0


def test_commits_carry_what_made_them(story):
    passes = [commit["pass_id"] for commit in story.commits]
    assert list(dict.fromkeys(passes)) == [r.pass_id for r in (story.fourth, story.third, story.first)]
    assert story.commits[0]["task_fingerprint"] == CHANGED.fingerprint
    assert story.commits[0]["model"] == "fake:m"


def test_a_path_with_a_composite_key_and_a_column_of_its_own_is_adopted(spark, tmp_path):
    path = str(tmp_path / "table")
    spark.sql(
        f"CREATE TABLE delta.`{path}` USING DELTA AS SELECT id % 2 AS a, id div 2 AS b, concat('rotten ', id) AS text, "
        "if(id = 3, 'fresh', NULL) AS tone FROM range(6)"
    )
    options = {"key": ["a", "B"], "column": "tone"}
    with pytest.raises(ColumnError, match=r"has a column 'tone' that no labeling pass wrote\.\n.*adopt=True"):
        label(spark, path, **options)
    report = label(spark, path, **options, adopt=True)
    rows = spark.sql(f"SELECT text, tone, tone_label.source AS source FROM delta.`{path}`").collect()
    assert {(r.text, r.tone, r.source) for r in rows if r.text == "rotten 3"} == {
        ("rotten 3", "fresh", "human")
    }
    assert {(r.tone, r.source) for r in rows if r.text != "rotten 3"} == {("rotten", "model")}
    assert (report.labeled, report.human_kept, report.corrections_stamped) == (5, 1, 1)
    # The table remembers the column, so that nobody has to name it again, or can name another.
    assert label(spark, path, key=["a", "b"], dry_run=True).pending == 0
    with pytest.raises(ColumnError, match="'verdict' writes the column 'tone'"):
        label(spark, path, key=["a", "b"], column="other")


@pytest.fixture(scope="module")
def awkward(spark):
    """A table with all kinds of columns that are in the way; nothing may ever be committed to it."""
    name = "default.awkward"
    spark.sql(f"DROP TABLE IF EXISTS {name}")
    spark.sql(
        f"CREATE TABLE {name} USING DELTA TBLPROPERTIES ('sparklabel.task.other' = '{{\"column\": \"theirs\"}}') AS "
        "SELECT id, id div 2 AS pair, if(id = 1, NULL, id) AS gap, 'x' AS text, 5 AS stars, 'y' AS tone_label "
        "FROM range(4)"
    )
    yield name
    spark.sql(f"DROP TABLE {name}")


MISSING_INPUT = classification("verdict", "body", ["fresh", "rotten"])
REFUSED = {
    "no key": ({"key": []}, KeyColumnError, "needs a key"),
    "an unknown key": ({"key": "ticket"}, ColumnError, r"no column 'ticket', which is the key.\n  It has: id, pair"),
    "a key with duplicates": ({"key": "pair"}, KeyColumnError, r"key pair of \S+ is not unique: \d, \d occur more"),
    "a composite key with duplicates": ({"key": ["pair", "text"]}, KeyColumnError, r"not unique: \(\d, 'x'\)"),
    "a key with NULL": ({"key": "gap"}, KeyColumnError, "key gap of default.awkward is NULL in some rows"),
    "an unknown input": ({"task": MISSING_INPUT}, ColumnError, "no column 'body', which is an input of the task"),
    "an input to be written": ({"column": "TEXT"}, ColumnError, "'TEXT' is an input or the key"),
    "the key to be written": ({"column": "id"}, ColumnError, "'id' is an input or the key"),
    "a column of another type": ({"column": "stars", "adopt": True}, ColumnError, "'stars' is int, and the task's"),
    "a column without its record": ({"column": "stars"}, ColumnError, "'stars' that no labeling pass wrote"),
    "a record that is none": ({"column": "tone"}, ColumnError, "'tone_label' that is not a label record"),
    "another task's column": ({"column": "theirs"}, ColumnError, "'theirs' of default.awkward belongs to the task"),
    "a wrong condition": ({"where": "id >"}, TableError, "where='id >' is not a condition"),
    "a condition on nothing": ({"where": "nope = 1"}, TableError, "where='nope = 1' is not a condition"),
    "an unknown relabel": ({"relabel": "all"}, TableError, r"relabel='all' is not known.\n  Use one of: none, task"),
    "an unknown model": ({"model": "no/such/model", "engine": "auto"}, ModelError, "'no/such/model' does not resolve"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_and_the_table_untouched(spark, awkward, case):
    options, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        label(spark, awkward, **options)
    assert version(spark, awkward) == 0


def test_what_is_no_delta_table_is_refused_by_name(spark, table, tmp_path):
    spark.sql(f"CREATE TABLE {table} USING PARQUET AS SELECT 1 AS id, 'x' AS text")
    spark.sql("CREATE OR REPLACE TEMP VIEW a_view AS SELECT 1 AS id, 'x' AS text")
    for name, reason in (
        (table, f"(?i){table} is a parquet table, not a Delta table"), ("a_view", "a_view is not a Delta table"),
        ("default.nowhere", "default.nowhere is not a Delta table"), (str(tmp_path), "is not a Delta table"),
        ("a..b", "'a..b' is not a table's name"), ("", "A table is a name or a path"),
    ):  # fmt: skip
        with pytest.raises(TableError, match=reason):
            label(spark, name)


class Opened:
    """A pass over `table` with its columns added and its staging open, to be driven step by step."""

    def __init__(self, spark, table, model="m"):
        target = open_target(spark, table)
        owned = owned_columns(target, TASK, ["id"], None, False)
        self.spec = labeler_spec(TASK, model, "fake", {})
        target = add_columns(spark, target, owned, TASK)
        owned = Owned(owned.value, owned.label, ())
        self.run = _Pass(spark, self.spec, target, owned, ("id",), "task", None)
        self.staging = open_staging(spark, target, owned, TASK, self.spec.model.identity, self.run.pass_id)

    def stage(self, spark, texts, **fields):
        """Stages the answers to `texts`, with some of their fields replaced."""
        inputs = spark.createDataFrame([(text,) for text in texts], "text STRING")
        answer = udf_of(self.spec)("text")
        for name, value in fields.items():
            answer = answer.withField(name, F.lit(value))
        self.staging.append(inputs.select(F.expr(input_hash_sql(["text"])).alias(HASH), answer.alias(ANSWER)))


@pytest.fixture
def small(spark, table):
    """A table of six rows, `fresh 0` to `fresh 5`."""
    spark.sql(f"CREATE TABLE {table} USING DELTA AS SELECT id, concat('fresh ', id) AS text FROM range(6)")
    return table


def test_answers_of_a_pass_that_died_are_taken_over(spark, small):
    Opened(spark, small, model="another").stage(spark, ["fresh 0"], confidence=0.1)
    dead = Opened(spark, small)
    dead.stage(spark, ["fresh 1", "fresh 2"], confidence=0.2)
    dead.stage(spark, ["fresh 3"], status="engine_error", value=None)
    report = label(spark, small)
    rows = rows_of(spark, small)
    assert (report.labeled, report.resumed_inputs) == (6, 2)
    assert [i for i, row in rows.items() if row.label.confidence == 0.2] == [1, 2]
    assert rows[0].label.confidence > 0.5
    assert (rows[3].label.status, rows[3].value) == ("ok", "fresh")
    assert {row.label.pass_id for row in rows.values()} == {report.pass_id}
    assert [row.input_hash for row in spark.sql(f"SELECT * FROM {dead.staging.sql}").collect()] == [
        rows[0].label.input_hash
    ], "the other model's answer stays for a pass with that model"


def test_a_narrow_pass_leaves_the_other_staged_answers_for_a_later_one(spark, small):
    Opened(spark, small).stage(spark, [f"fresh {i}" for i in range(6)], confidence=0.2)
    assert label(spark, small, where="id < 2 -- the first").labeled == 2
    rest = label(spark, small)
    assert (rest.labeled, rest.resumed_inputs, rest.inputs_per_second) == (4, 4, None)


def test_a_pass_whose_answers_are_all_staged_only_merges(spark, small):
    Opened(spark, small).stage(spark, [f"fresh {i}" for i in range(6)], confidence=0.2)
    report = label(spark, small)
    assert (report.labeled, report.resumed_inputs, report.inputs_per_second) == (6, 6, None)
    assert {row.label.confidence for row in rows_of(spark, small).values()} == {0.2}


def test_what_changed_while_the_model_worked_gets_no_stale_answer(spark, small):
    opened = Opened(spark, small)
    opened.stage(spark, [f"fresh {i}" for i in range(6)])
    spark.sql(f"UPDATE {small} SET text = 'rotten now' WHERE id = 1")
    spark.sql(f"UPDATE {small} SET verdict = 'rotten' WHERE id = 2")
    spark.sql(f"DELETE FROM {small} WHERE id = 3")
    assert opened.run._merge(opened.run._source(opened.staging)) == 3
    rows = rows_of(spark, small)
    assert (rows[1].value, rows[1].label, rows[2].value, rows[2].label) == (None, None, "rotten", None)
    assert {i: row.value for i, row in rows.items() if i not in (1, 2)} == {
        0: "fresh",
        4: "fresh",
        5: "fresh",
    }


HASHED = [
    ("NULL", None), ("''", ""), ("'a'", "a"), ("'früh 👩‍👩‍👧'", "früh 👩‍👩‍👧"), ("'S1:'", "S1:"), ("12", "12"),
    ("1.50BD", "1.50"), ("true", "true"), ("DATE'2026-01-02'", "2026-01-02"),
]  # fmt: skip


def test_the_hash_in_sql_is_the_hash_in_python(spark):
    pairs = [(one, other) for one in HASHED for other in HASHED[:4]]
    found = spark.sql(
        "SELECT " + ", ".join(input_hash_sql([one[0], other[0]]) for one, other in pairs)
    ).first()
    cells = [[None if text is None else text.encode() for _, text in pair] for pair in pairs]
    assert list(found) == [input_hash(cell) for cell in cells]


def test_columns_may_have_names_that_the_protocol_uses(spark, table):
    spark.sql(
        f"CREATE TABLE {table} USING DELTA AS SELECT id AS answer, 'fresh' AS `t.s`, id AS rows FROM range(3)"
    )
    task = classification("verdict", "t.s", ["fresh", "rotten"])
    assert label(spark, table, task, key=["answer", "rows"]).labeled == 3


def test_a_task_that_cannot_be_asked_leaves_the_table_untouched(spark, small):
    task = classification("verdict", "text", ["fresh", "rotten"], instructions="long " * 2000)
    with pytest.raises(TaskError, match="tokens of context"):
        label(spark, small, task)
    assert version(spark, small) == 0


@pytest.mark.parametrize("where", ["rand() < 0.5", "id > uuid()"])
def test_a_condition_that_draws_lots_is_refused(spark, small, where):
    with pytest.raises(SparklabelError, match="draws other rows each time"):
        label(spark, small, where=where)


def test_a_timestamp_is_refused_as_an_input(spark, table):
    spark.sql(f"CREATE TABLE {table} USING DELTA AS SELECT 1 AS id, timestamp'2026-01-01 00:00:00' AS text")
    with pytest.raises(ColumnError, match="time zone"):
        label(spark, table)
