"""One MERGE for the changes of several tasks, on small Delta tables; literal/test_merge.py has its guards."""

from dataclasses import replace

import pytest

from sparklabel.delta.snapshot import open_snapshot
from sparklabel.table.merge import Change, merge_rows


@pytest.fixture
def changes(spark):
    """Two changes of columns of their own: rows 1 to 3 of one, 2 to 4 of the other, whose guards hold of some."""
    one = spark.sql("SELECT `my id`, concat('new ', `my id`) AS said FROM VALUES (1), (2), (3) AS s(`my id`)")
    two = spark.sql("SELECT `my id`, `my id` * 10 AS stars FROM VALUES (2), (3), (4), (5) AS s(`my id`)")
    return [
        Change("tone", one, "t.tone <> 'kept'", {"tone": "s._sparklabel_tone.said", "more.note": "'seen'"}),
        Change("stars", two, "(t.stars IS NULL OR t.stars < 5)", {"stars": "s._sparklabel_stars.stars"}),
    ]


TABLE = (
    "CREATE TABLE {name} USING DELTA TBLPROPERTIES ('delta.columnMapping.mode' = 'name') AS SELECT "
    "id AS `my id`, if(id = 3, 'kept', 'old') AS tone, if(id = 2, 7, 0) AS stars, named_struct('note', '') AS more "
    "FROM range(5)"
)


def test_one_merge_writes_each_change_where_its_own_guard_holds(spark, table, changes):
    spark.sql(TABLE.format(name=table))
    written = merge_rows(open_snapshot(spark, table), ["my id"], changes, {"pass_id": "p"})
    rows = {row["my id"]: (row.tone, row.stars, row.more.note) for row in spark.table(table).collect()}
    assert rows == {
        0: ("old", 0, ""), 1: ("new 1", 0, "seen"), 2: ("new 2", 7, "seen"), 3: ("kept", 30, ""), 4: ("old", 40, ""),
    }  # fmt: skip
    assert written == 4, "row 0 is nobody's, and row 5 is not there"
    commit = spark.sql(f"DESCRIBE HISTORY {table} LIMIT 1").first()
    assert (commit.operation, commit.userMetadata) == ("MERGE", '{"sparklabel": {"pass_id": "p"}}')


def test_rows_that_are_missing_are_made_where_that_is_asked_for(spark, table, changes):
    spark.sql(f"CREATE TABLE {table} (`my id` INT, tone STRING, stars INT) USING DELTA "
              "TBLPROPERTIES ('delta.columnMapping.mode' = 'name')")  # fmt: skip
    spark.sql(f"INSERT INTO {table} VALUES (2, 'kept', NULL)")
    tone, stars = changes
    tone.assigned.pop("more.note")
    assert merge_rows(open_snapshot(spark, table), ["my id"], [tone, stars], {}, insert=True) == 5
    assert {tuple(row) for row in spark.table(table).collect()} == {
        (1, "new 1", None), (2, "kept", 20), (3, "new 3", 30), (4, None, 40), (5, None, 50),
    }  # fmt: skip


NARROW = ("t.`my id` > 0", "t.`my id` < 2")


def test_rows_are_looked_for_only_where_a_change_says_they_are(spark, table, changes):
    spark.sql(TABLE.format(name=table))
    tone = replace(changes[0], narrow=NARROW)
    assert merge_rows(open_snapshot(spark, table), ["my id"], [tone], {}) == 1
    assert spark.table(table).where("tone = 'new 1'").count() == 1


@pytest.mark.parametrize(("other", "written"), [((), 4), (("t.`my id` = 4",), 2)])
def test_of_several_changes_none_narrows_the_rows_of_the_others(spark, table, changes, other, written):
    spark.sql(TABLE.format(name=table))
    narrow = [replace(changes[0], narrow=NARROW), replace(changes[1], narrow=other)]
    assert merge_rows(open_snapshot(spark, table), ["my id"], narrow, {}) == written


def test_no_row_is_made_again_because_a_change_says_where_its_rows_are(spark, table, changes):
    spark.sql(TABLE.format(name=table))
    tone = replace(changes[0], narrow=NARROW)
    tone.assigned.pop("more.note")
    assert merge_rows(open_snapshot(spark, table), ["my id"], [tone], {}, insert=True) == 2
    assert spark.table(table).count() == 5


def test_a_change_of_few_rows_of_one_task_is_written_alone(spark, table, changes):
    spark.sql(TABLE.format(name=table))
    tone = changes[0]
    few = Change(tone.name, tone.rows, tone.guard, tone.assigned, few=True)
    assert merge_rows(open_snapshot(spark, table), ["my id"], [few], {}) == 2
    assert [row.tone for row in spark.sql(f"SELECT tone FROM {table} ORDER BY `my id`").collect()] == [
        "old", "new 1", "new 2", "kept", "old",
    ]  # fmt: skip


def test_all_columns_of_a_key_must_be_equal_and_no_view_is_left(spark, table):
    spark.sql(
        f"CREATE TABLE {table} USING DELTA AS SELECT * FROM VALUES (1, 1, 0), (1, 2, 0), (2, 1, 0) AS t(a, b, n)"
    )
    before = spark.sql("SHOW VIEWS LIKE '_sparklabel_*'").count()
    change = Change("n", spark.sql("SELECT 1 AS a, 2 AS b, 5 AS n"), "true", {"n": "s._sparklabel_n.n"})
    assert merge_rows(open_snapshot(spark, table), ["a", "b"], [change], {}) == 1
    assert {tuple(row) for row in spark.table(table).collect()} == {(1, 1, 0), (1, 2, 5), (2, 1, 0)}
    assert spark.sql("SHOW VIEWS LIKE '_sparklabel_*'").count() == before
