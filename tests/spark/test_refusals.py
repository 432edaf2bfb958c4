"""What a pass refuses, before it loads or writes anything."""

import pytest

from sparklabel import classification
from sparklabel.errors import ColumnError, KeyColumnError, ModelError, SetupError, TableError, TaskError


@pytest.fixture(scope="module")
def awkward(spark):
    """A table with all kinds of columns that are in the way; nothing may ever be committed to it."""
    name = "default.awkward"
    spark.sql(f"DROP TABLE IF EXISTS {name}")
    spark.sql(
        f"CREATE TABLE {name} USING DELTA TBLPROPERTIES ('sparklabel.task.other' = '{{\"column\": \"theirs\"}}') AS "
        "SELECT id, id div 2 AS pair, if(id = 1, NULL, id) AS gap, 'x' AS text, 5 AS stars, 'y' AS tone_label, "
        "map('a', id) AS tags, named_struct('text', 'x') AS payload, timestamp'2026-01-01 00:00:00' AS at FROM range(4)"
    )
    yield name
    spark.sql(f"DROP TABLE {name}")


MISSING_INPUT, TIMESTAMP, FIELD_INPUT = (
    classification("verdict", name, ["fresh", "rotten"]) for name in ("body", "at", "payload.text")
)
TOO_LONG = classification("verdict", "text", ["fresh", "rotten"], instructions="long " * 2000)
REFUSED = {
    "no key": ({"key": []}, KeyColumnError, "need a key"),
    "a number as a key": ({"key": 5}, KeyColumnError, "need a key"),
    "a key without an order": ({"key": "tags"}, KeyColumnError, "'tags' is of a type that cannot be compared: map<"),
    "a file for a task": ({"task": "verdict.yaml"}, TaskError, "what sl.classification.* gives, not 'verdict.yaml'"),
    "a column that Delta cannot name": ({"column": "my topic"}, ColumnError, "'my topic' is not a column's name"),
    "an unknown key": ({"key": "ticket"}, ColumnError, r"no column 'ticket', which is the key.\n  It has: id, pair"),
    "a key with duplicates": ({"key": "pair"}, KeyColumnError, r"key pair of .* not unique; found more than once: \d"),
    "a composite key with duplicates": ({"key": ["pair", "text"]}, KeyColumnError, r"more than once: \(\d, 'x'\)"),
    "a key with NULL": ({"key": "gap"}, KeyColumnError, "key gap of default.awkward is NULL in some rows"),
    "a field as an input": (
        {"task": FIELD_INPUT},
        ColumnError,
        r"no column 'payload.text', .*\n.* Label a view .* SELECT \*, payload.text AS payload_text FROM",
    ),
    "an unknown input": ({"task": MISSING_INPUT}, ColumnError, "no column 'body', which is an input of the task"),
    "an input to be written": ({"column": "TEXT"}, ColumnError, "'TEXT' is an input or the key"),
    "the key to be written": ({"column": "id"}, ColumnError, "'id' is an input or the key"),
    "a column of another type": ({"column": "stars", "adopt": True}, ColumnError, "'stars' is int, and the task's"),
    "a column of another type, unasked": ({"column": "stars"}, ColumnError, "'stars' is int, and the task's values"),
    "a column in the place of the record": ({"column": "tone"}, ColumnError, "'tone_label' that is not a label record"),
    "another task's column": ({"column": "theirs"}, ColumnError, "'theirs' of default.awkward belongs to the task"),
    "a wrong condition": ({"where": "id >"}, TableError, "where='id >' is not a condition"),
    "a condition that compares a number with a text": (
        {"where": "id = 'abc'"},
        TableError,
        "fails on a row of default.awkward: CAST_INVALID_INPUT",
    ),
    "a condition that divides by zero": ({"where": "1 / 0 = 1"}, TableError, "fails on a row of .*: DIVIDE_BY_ZERO"),
    "an empty condition": ({"where": " "}, TableError, "where=' ' is not a SQL condition"),
    "a number as a condition": ({"where": 5}, TableError, "where=5 is not a SQL condition"),
    "a word for yes or no": ({"adopt": "no"}, TableError, "adopt='no' is neither True nor False"),
    "a word for progress": ({"progress": "no"}, TableError, "progress='no' is neither True nor False"),
    "a condition on nothing": ({"where": "nope = 1"}, TableError, "where='nope = 1' is not a condition"),
    "a condition that draws lots": ({"where": "rand() < 0.5"}, TableError, "selects other rows each time"),
    "a condition on a random key": ({"where": "id > uuid()"}, TableError, "selects other rows each time"),
    "a timestamp as an input": ({"task": TIMESTAMP}, ColumnError, "time zone"),
    "instructions that do not fit": ({"task": TOO_LONG}, TaskError, "tokens of context"),
    "no rows": ({"max_rows": 0}, TableError, "max_rows"),
    "less than no time": ({"max_seconds": -1}, TableError, "max_seconds"),
    "more failures than rows": ({"max_error_ratio": 2}, TableError, "max_error_ratio"),
    "a relative folder": ({"staging": "here"}, TableError, "staging"),
    "a folder that cannot be made": ({"staging": "/proc/nowhere"}, TableError, "staging table"),
    "a policy that names no number": ({"retry": ["timeout"]}, TableError, "retry"),
    "a policy for rows that would fail again": ({"retry": {"empty_input": 2}}, TableError, "retry="),
    "a policy for answers": ({"retry": {"ok": 2}}, TableError, "retry="),
    "a policy of no attempts": ({"retry": {"timeout": 0}}, TableError, "retry="),
    "an experiment without a name": ({"experiment": ""}, SetupError, "experiment='' is not the name of an MLflow"),
    "an unknown relabel": ({"relabel": "all"}, TableError, "relabel='all' is not one of none, task"),
    "an unknown model": ({"model": "no/such/model", "engine": "auto"}, ModelError, "'no/such/model' does not resolve"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_and_the_table_untouched(awkward, case, label, version):
    options, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        label(awkward, **options)
    assert version(awkward) == 0


def test_what_is_not_a_delta_table_is_refused_by_name(spark, table, tmp_path, label):
    spark.sql(f"CREATE TABLE {table} USING PARQUET AS SELECT 1 AS id, 'x' AS text")
    spark.sql("CREATE OR REPLACE TEMP VIEW a_view AS SELECT 1 AS id, 'x' AS text")
    for name, reason in (
        (table, f"(?i){table} is a parquet table, not a Delta table"), ("a_view", "a_view is not a Delta table"),
        ("default.nowhere", "default.nowhere is not a Delta table"), (str(tmp_path), "is not a Delta table"),
        ("a..b", "'a..b' is not a table's name"), ("", "A table is a name or a path"),
    ):  # fmt: skip
        with pytest.raises(TableError, match=reason):
            label(name)


def test_a_name_that_is_not_found_says_that_the_sessions_catalog_ends_with_it(label):
    with pytest.raises(TableError) as caught:
        label("made_by_another_session")
    assert "found by its path only" in caught.value.hint


def test_a_pass_is_refused_when_one_of_the_tasks_two_columns_is_gone(spark, table, label, rows_of):
    spark.sql(
        f"CREATE TABLE {table} USING DELTA TBLPROPERTIES ('delta.columnMapping.mode' = 'name') "
        "AS SELECT 1 AS id, 'fresh fish' AS text"
    )
    label(table)
    spark.sql(f"ALTER TABLE {table} DROP COLUMN verdict")
    with pytest.raises(ColumnError, match="the column 'verdict' with their values is gone") as caught:
        label(table)
    for statement in caught.value.hint.removeprefix("Bring it back: ").split("; "):
        spark.sql(statement)
    assert label(table).labeled == 0
    assert rows_of(table)[1].value == "fresh"
    spark.sql(f"ALTER TABLE {table} RENAME COLUMN verdict_label TO kept")
    with pytest.raises(ColumnError, match="which says which of them people gave, is gone"):
        label(table)


def test_an_append_only_table_is_refused_before_anything_is_asked(spark, label):
    spark.sql("DROP TABLE IF EXISTS default.log_of_texts")
    spark.sql(
        "CREATE TABLE default.log_of_texts USING DELTA TBLPROPERTIES ('delta.appendOnly' = 'true') "
        "AS SELECT id, 'fresh' AS text FROM range(3)"
    )
    with pytest.raises(TableError, match="is append-only"):
        label("default.log_of_texts")
    spark.sql("DROP TABLE default.log_of_texts")


def test_a_constraint_that_refuses_an_answer_is_named_and_the_answers_are_kept(spark, label):
    name = "default.constrained"
    spark.sql(f"DROP TABLE IF EXISTS {name}")
    spark.sql(f"CREATE TABLE {name} (id BIGINT, text STRING, verdict STRING) USING DELTA")
    spark.sql(
        f"INSERT INTO {name} SELECT id, if(id = 2, 'rotten', concat('fresh ', id)), NULL FROM range(40)"
    )
    label(name, where="false", adopt=True)
    spark.sql(
        f"ALTER TABLE {name} ADD CONSTRAINT only_good CHECK (verdict IS NULL OR verdict = 'fresh' OR id < 0)"
    )
    with pytest.raises(TableError, match=r"Merging into default\.constrained was refused: .*only_good"):
        label(name, adopt=True)
    spark.sql(f"ALTER TABLE {name} DROP CONSTRAINT only_good")
    assert label(name).resumed_inputs == 40
    spark.sql(f"DROP TABLE {name}")


def test_a_condition_that_fails_on_a_row_is_named_and_the_row_is_not_quoted(small, label):
    with pytest.raises(TableError, match=r"where='CAST\(text AS INT\) = 1' fails on a row of") as caught:
        label(small, where="CAST(text AS INT) = 1")
    assert "fresh" not in str(caught.value)
    assert "try_cast" in caught.value.hint


def test_a_column_that_is_not_a_name_and_a_store_without_a_driver_are_refused(awkward, label):
    with pytest.raises(ColumnError, match="column=3 is not a column's name"):
        label(awkward, column=3)
    with pytest.raises(TableError, match="no file system for nosuch://"):
        label("nosuch://bucket/table")
