"""Labels in a table of their own: the labelled table, or view, is only read."""

import pytest

from sparklabel.errors import ColumnError, TableError
from sparklabel.table.human_answers import human_answers
from sparklabel.table.task_table import open_task_table


@pytest.fixture
def labels(spark):
    name = "default.labels_apart"
    spark.sql(f"DROP TABLE IF EXISTS {name}")
    yield name
    spark.sql(f"DROP TABLE IF EXISTS {name}")


def values(spark, labels):
    return {row.id: row.verdict for row in spark.table(labels).collect()}


def test_a_table_that_is_labelled_into_another_is_left_as_it_was(spark, small, label, labels, version):
    before = version(small)
    report = label(small, into=labels)
    assert (report.labeled, report.table) == (6, labels)
    assert version(small) == before
    assert values(spark, labels) == dict.fromkeys(range(6), "fresh")


def test_a_view_can_be_labelled_into_a_table(spark, small, label, labels):
    spark.sql(
        f"CREATE OR REPLACE TEMP VIEW some AS SELECT id, concat(text, '!') AS text FROM {small} WHERE id < 3"
    )
    assert label("some", into=labels).labeled == 3
    assert label("some", into=labels).pending == 0


def test_a_dry_run_makes_no_table(spark, small, label, labels):
    assert label(small, into=labels, dry_run=True).pending == 6
    assert not spark.catalog.tableExists(labels)


def test_only_new_and_changed_rows_are_asked_again_and_people_are_kept(spark, small, label, labels):
    label(small, into=labels)
    spark.sql(f"UPDATE {labels} SET verdict = 'rotten' WHERE id = 0")
    spark.sql(f"UPDATE {small} SET text = 'rotten now' WHERE id = 1")
    spark.sql(f"INSERT INTO {small} VALUES (6, 'fresh 6')")
    report = label(small, into=labels)
    assert (report.labeled, report.corrections_stamped) == (2, 1)
    assert values(spark, labels) == {0: "rotten", 1: "rotten"} | dict.fromkeys(range(2, 7), "fresh")


def test_people_who_answer_there_teach(spark, small, label, labels, task):
    label(small, into=labels)
    spark.sql(f"UPDATE {labels} SET verdict = 'rotten' WHERE id < 3")
    opened = open_task_table(spark, small, task, "id", into=labels)
    found = human_answers(spark, opened, task)
    assert {a.inputs: a.answer for a in (*found.train, *found.held_out)} == {
        (f"fresh {i}",): "rotten" for i in range(3)
    }


def test_what_cannot_hold_the_labels_is_refused_and_left_as_it_was(spark, small, label, labels, version):
    location = spark.sql(f"DESCRIBE DETAIL {small}").first()["location"]
    spark.sql(f"CREATE TABLE {labels} USING DELTA AS SELECT id, text FROM {small}")
    for into, message in (
        (small, "is the table itself"), (labels, "was not made for labels"), ("", "not ''"),
        (f"{location}/labels", "in the folder of"),
        (f"delta.`{location}//labels`", "in the folder of"), ("labels/relative", "relative path"),
        ("nowhere.labels", "cannot be made"),
    ):  # fmt: skip
        with pytest.raises(TableError, match=message):
            label(small, into=into)
    assert (version(small), version(labels)) == (0, 0)


def test_the_key_of_the_labels_stays(spark, small, label, labels):
    label(small, into=labels)
    with pytest.raises(TableError, match="by the key"):
        label(small, into=labels, key=["id", "text"], column="other")


def test_a_key_that_cannot_name_a_column_is_refused_early(spark, small, label, labels):
    spark.sql(f"CREATE OR REPLACE TEMP VIEW odd AS SELECT id AS `my id`, text FROM {small}")
    with pytest.raises(ColumnError, match="'my id' cannot be the name"):
        label("odd", into=labels, key="my id")
