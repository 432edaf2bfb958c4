"""Files that have not changed since a pass answered every row are not read again."""

from contextlib import ExitStack

import pytest

from sparklabel.labeling.increment import read_changed
from sparklabel.labeling.plan import make_plan
from sparklabel.labeling.request import PassRequest
from sparklabel.table.row_states import Scope
from sparklabel.table.task_table import open_task_table
from sparklabel.udf import labeler_spec


@pytest.fixture
def make(spark, table, label):
    """A table of several files whose rows are all answered: eight by a first pass, the last by a second one."""

    def labeled(**options):
        rows = spark.range(8, numPartitions=4).selectExpr("id", "concat('fresh ', id) AS text")
        rows.write.format("delta").options(**options).saveAsTable(table)
        label(table)
        insert(spark, table, 100)
        label(table)
        return table

    return labeled


@pytest.fixture
def done(make):
    return make()


@pytest.fixture
def plan(spark, task):
    """What a pass would read and do, however small the table is."""

    def make(table, model="m", **scope):
        opened = open_task_table(spark, table, task)
        request = PassRequest(labeler_spec(task, model, "fake", {}), opened, Scope(**scope))
        with ExitStack() as stack:
            return make_plan(spark, read_changed(spark, request, large=0), stack)

    return make


def insert(spark, table, *ids):
    spark.sql(f"INSERT INTO {table} (id, text) VALUES {', '.join(f'({i}, {i!r})' for i in map(str, ids))}")


def test_of_a_table_that_grew_the_new_file_is_read(spark, done, plan):
    insert(spark, done, 8)
    found = plan(done)
    assert found.states == {"new": 1, "done": 1}
    assert 0 < found.request.table.changed.read < found.request.table.changed.files


def test_what_a_person_changed_is_read(spark, done, plan):
    assert plan(done).states == {"done": 1}
    spark.sql(f"UPDATE {done} SET verdict = 'rotten' WHERE id = 3")
    assert plan(done).implicit_corrections == 1


def test_an_input_that_changed_is_read(spark, done, plan):
    spark.sql(f"UPDATE {done} SET text = 'rotten' WHERE id = 3")
    assert plan(done).states["input_changed"] == 1


@pytest.mark.parametrize(
    "other", [{"model": "m2"}, {"relabel": "model"}, {"where": "id > 0"}, {"retry": (("uncertain", 3),)}]
)
def test_all_files_are_read_by_a_pass_with_other_rules(spark, done, plan, other):
    insert(spark, done, 8)
    assert sum(plan(done, **other).states.values()) >= 9


@pytest.mark.parametrize("options", [{"fail_on": "3"}, {"max_rows": 3}, {"where": "id < 9"}])
def test_all_files_are_read_after_a_pass_that_left_something(spark, table, label, plan, options):
    spark.range(8, numPartitions=4).selectExpr("id", "concat('fresh ', id) AS text").write.format(
        "delta"
    ).saveAsTable(table)
    label(table, **options)
    insert(spark, table, 8)
    assert sum(plan(table).states.values()) == 9


def test_a_file_of_which_rows_were_deleted_is_not_read(spark, make, plan):
    table = make(**{"delta.enableDeletionVectors": "true"})
    spark.sql(f"DELETE FROM {table} WHERE id = 3")
    assert plan(table).states == {"done": 1}


def test_rows_that_a_restore_brought_back_are_read(spark, make, label, version, plan):
    table = make(**{"delta.enableDeletionVectors": "true"})
    spark.sql(f"DELETE FROM {table} WHERE id IN (3, 4)")
    before = version(table)
    spark.sql(f"UPDATE {table} SET text = 'rotten' WHERE id = 5")
    insert(spark, table, 101)
    label(table)
    assert plan(table).pending == 0
    spark.sql(f"RESTORE {table} TO VERSION AS OF {before - 1}")
    assert plan(table).pending == 0
    spark.sql(f"UPDATE {table} SET text = 'rotten' WHERE id = 3")
    assert plan(table).pending == 1


def test_a_column_that_was_renamed_is_read_anew(spark, table, label, plan):
    spark.sql(
        f"CREATE TABLE {table} (id BIGINT, text STRING, other STRING) USING DELTA "
        "TBLPROPERTIES ('delta.columnMapping.mode' = 'name')"
    )
    spark.sql(f"INSERT INTO {table} SELECT id, 'fresh', 'rotten' FROM range(4)")
    label(table)
    spark.sql(f"ALTER TABLE {table} RENAME COLUMN text TO old")
    spark.sql(f"ALTER TABLE {table} RENAME COLUMN other TO text")
    assert plan(table).states == {"input_changed": 4}
