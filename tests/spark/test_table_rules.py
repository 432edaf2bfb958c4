"""Rules of a table that its labels would break: refused before anything is written, and the hint helps."""

import re

import pytest

from sparklabel import answers, cache_summary, classification, undo_pass
from sparklabel.delta.snapshot import folder_tables, is_table_folder, open_snapshot
from sparklabel.errors import ColumnError, KeyColumnError, TableError
from sparklabel.sql import sql_string
from sparklabel.table.table_rules import check_values_fit

TASK = classification("verdict", "text", ["fresh", "rotten"])


def made(spark, table, columns, rows="(1, 'fresh', NULL)", properties=""):
    spark.sql(f"CREATE TABLE {table} (id BIGINT, text STRING, {columns}) USING DELTA {properties}")
    spark.sql(f"INSERT INTO {table} VALUES {rows}")
    return table


def run_hint(spark, error):
    """The statement that a hint begins with."""
    spark.sql(error.value.hint.partition(",")[0].partition(";")[0])


@pytest.mark.parametrize("declared", ["CHAR(10)", "VARCHAR(5)"])
def test_a_column_that_cannot_hold_each_label_is_refused(spark, table, label, version, declared):
    made(spark, table, f"verdict {declared}")
    refused = rf"'verdict' of {table} is {re.escape(declared)}, (by which|and the label 'rotten')"
    with pytest.raises(ColumnError, match=refused):
        label(table, adopt=True)
    assert version(table) == 1


def test_the_hint_makes_a_short_column_long_enough(spark, table, label):
    made(spark, table, "verdict VARCHAR(5)")
    with pytest.raises(ColumnError) as caught:
        label(table, adopt=True)
    run_hint(spark, caught)
    assert label(table, adopt=True).labeled == 1


def test_a_varchar_that_is_long_enough_for_each_label_is_taken(spark, table, label):
    made(spark, table, "verdict VARCHAR(6)")
    assert label(table, adopt=True).labeled == 1


def test_a_default_would_pass_for_people_and_the_hint_removes_it(spark, small, label):
    spark.sql(f"ALTER TABLE {small} SET TBLPROPERTIES ('delta.feature.allowColumnDefaults' = 'supported')")
    label(small)
    spark.sql(f"ALTER TABLE {small} ALTER COLUMN verdict SET DEFAULT 'unlabeled'")
    spark.sql(f"INSERT INTO {small} (id, text) VALUES (10, 'rotten')")
    with pytest.raises(ColumnError, match="has the default 'unlabeled'") as caught:
        label(small)
    for statement in caught.value.hint.split("; and for rows that have it already: "):
        spark.sql(statement)
    assert label(small).labeled == 1


def test_a_default_of_null_is_none(spark, small, label):
    spark.sql(f"ALTER TABLE {small} SET TBLPROPERTIES ('delta.feature.allowColumnDefaults' = 'supported')")
    label(small)
    spark.sql(f"ALTER TABLE {small} ALTER COLUMN verdict SET DEFAULT NULL")
    assert label(small).labeled == 0


def test_a_constraint_that_excludes_a_label_is_named_before_the_model_is_asked(spark, table, label, version):
    made(spark, table, "verdict STRING")
    spark.sql(f"ALTER TABLE {table} ADD CONSTRAINT good CHECK (verdict IS NULL OR verdict = 'fresh')")
    with pytest.raises(ColumnError, match=r"constraint good of .* excludes the label 'rotten'") as caught:
        label(table, adopt=True)
    assert version(table) == 2
    run_hint(spark, caught)
    assert label(table, adopt=True).labeled == 1


def test_of_several_constraints_the_one_that_excludes_a_label_is_named_with_one_query(spark, table, label):
    made(spark, table, "verdict STRING")
    for name, check in (("a", "verdict <> 'x'"), ("b", "id > 0"), ("c", "verdict <> 'rotten'")):
        spark.sql(f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK (verdict IS NULL OR {check})")
    target = open_snapshot(spark, table)
    spark.sparkContext.setJobGroup(table, table)
    with pytest.raises(ColumnError, match=r"constraint c of .* excludes the label 'rotten'"):
        check_values_fit(spark, target, TASK, "verdict")
    assert len(spark.sparkContext.statusTracker().getJobIdsForGroup(table)) == 1
    spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)


def test_what_a_table_refuses_to_take_can_be_read(spark, small, label, task):
    label(small)
    spark.sql(f"ALTER TABLE {small} ADD CONSTRAINT fresh CHECK (verdict IS NULL OR verdict = 'fresh')")
    spark.sql(f"UPDATE {small} SET verdict_label.source = 'human' WHERE id = 1")
    spark.sql(f"ALTER TABLE {small} SET TBLPROPERTIES ('delta.appendOnly' = 'true')")
    assert [row.answer for row in answers(spark, small, task).collect()] == ["fresh"]
    with pytest.raises(TableError, match="is append-only"):
        label(small)


def test_what_delta_refuses_at_the_end_is_an_error_of_ours_and_the_answers_are_kept(
    spark, table, label, tmp_path
):
    made(spark, table, "verdict STRING", "(1, 'fresh', NULL), (2, 'rotten', NULL)")
    fails = "verdict IS NULL OR id < 2 OR raise_error('no') IS NULL"
    spark.sql(f"ALTER TABLE {table} ADD CONSTRAINT fails CHECK ({fails})")
    with pytest.raises(TableError) as caught:
        label(table, adopt=True, staging=str(tmp_path))
    assert "kept" in caught.value.hint
    spark.sql(f"ALTER TABLE {table} DROP CONSTRAINT fails")
    assert label(table, adopt=True, staging=str(tmp_path)).resumed_inputs == 2


def test_fields_named_like_types_are_fields(spark, table, label):
    spark.sql(
        f"CREATE TABLE {table} USING DELTA AS SELECT named_struct('sku', id, 'variant', 'blue') AS item, "
        "named_struct('timestamp', '2026-01-01', 'message', 'fresh') AS payload FROM range(3)"
    )
    task = classification("verdict", "payload", ["fresh", "rotten"])
    assert label(table, task, key="item").labeled == 3


def test_a_key_spelled_in_another_case_finds_its_labels(spark, table, label, tmp_path):
    spark.sql("CREATE OR REPLACE TEMP VIEW cased AS SELECT id, 'fresh' AS text FROM range(3)")
    label("cased", into=table, key="id")
    spark.sql("CREATE OR REPLACE TEMP VIEW cased AS SELECT id AS ID, 'rotten' AS text FROM range(4)")
    assert label("cased", into=table, key="id").labeled == 4


def test_a_key_that_grew_beyond_the_labels_key_is_refused(spark, table, label):
    spark.sql(
        "CREATE OR REPLACE TEMP VIEW grown AS SELECT CAST(id AS INT) AS id, 'fresh' AS text FROM range(3)"
    )
    label("grown", into=table, key="id")
    spark.sql(
        "CREATE OR REPLACE TEMP VIEW grown AS SELECT id + 3000000000 AS id, 'fresh' AS text FROM range(3)"
    )
    with pytest.raises(
        KeyColumnError, match=r"key 'id' of grown is bigint, and \S+ has labels by a key of int"
    ):
        label("grown", into=table, key="id")


def test_a_smaller_key_than_the_labels_key_is_taken(spark, table, label):
    spark.sql("CREATE OR REPLACE TEMP VIEW shrunk AS SELECT id, 'fresh' AS text FROM range(3)")
    label("shrunk", into=table, key="id")
    spark.sql(
        "CREATE OR REPLACE TEMP VIEW shrunk AS SELECT CAST(id AS INT) AS id, 'rotten' AS text FROM range(3)"
    )
    assert label("shrunk", into=table, key="id").labeled == 3


def test_the_key_of_a_view_does_not_decide_where_labels_go(spark, table, label, tmp_path):
    evil = sql_string(f"v: BIGINT>) USING DELTA LOCATION '{tmp_path}/elsewhere' -- ")
    row = f"named_struct({evil}, id) AS k, 'fresh' AS text"
    spark.sql(f"CREATE OR REPLACE TEMP VIEW odd AS SELECT {row} FROM range(3)")
    with pytest.raises(TableError, match=r"cannot be created: .* in the column names"):
        label("odd", into=table, key="k")
    assert not (tmp_path / "elsewhere").exists()


def test_a_pass_over_a_table_whose_key_was_renamed_is_undone_after_renaming_it_back(spark, table, label):
    spark.sql(
        f"CREATE TABLE {table} USING DELTA TBLPROPERTIES ('delta.columnMapping.mode' = 'name') "
        "AS SELECT id, 'fresh' AS text FROM range(3)"
    )
    made_by = label(table).pass_id
    spark.sql(f"ALTER TABLE {table} RENAME COLUMN id TO ticket")
    with pytest.raises(TableError, match=r"used the column 'id', which .* has no longer"):
        undo_pass(spark, table, made_by)


def test_a_key_that_was_renamed_is_named_as_it_is_called_now_and_then_remembered(spark, table, label, task):
    spark.sql(
        f"CREATE TABLE {table} USING DELTA TBLPROPERTIES ('delta.columnMapping.mode' = 'name') "
        "AS SELECT id, id AS number, concat('fresh ', id) AS text FROM range(3)"
    )
    label(table)
    spark.sql(f"ALTER TABLE {table} RENAME COLUMN id TO ticket")
    with pytest.raises(
        KeyColumnError, match=r"the key id, and has no column 'id' now\.\n.*as it is called now"
    ):
        label(table, key=None)
    spark.sql(f"INSERT INTO {table} (ticket, number, text) VALUES (7, 7, 'fresh 7')")
    assert label(table, key="ticket").labeled == 1
    assert label(table, key=None).pending == 0
    with pytest.raises(KeyColumnError, match="the key ticket, not by number"):
        label(table, key="number")


@pytest.mark.parametrize("name", ["data[2024]", "{uuid}", "a*b", "50%, off?"])
def test_any_folder_can_be_a_table_with_a_cache_and_staging_in_it_is_refused(spark, label, tmp_path, name):
    table = f"{tmp_path}/{name}"
    spark.sql(
        f"CREATE TABLE delta.`{table}` USING DELTA AS SELECT id, concat('fresh ', id) AS text FROM range(3)"
    )
    label(table, staging=f"{tmp_path}/staging {name}", cache=f"{tmp_path}/cache {name}")
    assert cache_summary(spark, f"{tmp_path}/cache {name}").first().answers == 3
    assert folder_tables(spark, str(tmp_path), name) == [table]
    assert is_table_folder(spark, table)
    assert not is_table_folder(spark, f"{tmp_path}/{re.sub(r'[^ ]', '?', name)}")
    with pytest.raises(TableError, match="lies in the folder of a Delta table"):
        label(table, staging=f"{table}/inside")


def test_a_column_that_must_not_be_null_is_refused_and_the_hint_mends_it(spark, table, label):
    made(spark, table, "verdict STRING NOT NULL", rows="(1, 'fresh', 'fresh')")
    with pytest.raises(ColumnError, match="is NOT NULL, and a row without an answer has none") as caught:
        label(table, adopt=True)
    run_hint(spark, caught)
    label(table, adopt=True)


def test_labels_of_their_own_are_no_append_only_table_whatever_the_session_s_default(
    spark, small, table, label
):
    setting = "spark.databricks.delta.properties.defaults.appendOnly"
    spark.conf.set(setting, "true")
    try:
        label(small, into=f"{small}_labels")
    finally:
        spark.conf.unset(setting)
    spark.sql(f"UPDATE {small} SET text = 'rotten' WHERE id = 1")
    assert label(small, into=f"{small}_labels").labeled == 1
    spark.sql(f"DROP TABLE {small}_labels")
