"""Labels in a table of their own: the labeled table, or view, is only read."""

from types import SimpleNamespace

import pytest
from pyspark.errors import AnalysisException

from sparklabel import evaluate, finetune
from sparklabel.errors import ColumnError, KeyColumnError, TableError
from sparklabel.labeling.error_translation import failures_diagnosed
from sparklabel.labeling.request import PassRequest
from sparklabel.table.human_answers import human_answers
from sparklabel.table.task_table import open_task_table
from sparklabel.udf import labeler_spec


@pytest.fixture
def labels(spark):
    name = "default.labels_apart"
    spark.sql(f"DROP TABLE IF EXISTS {name}")
    yield name
    spark.sql(f"DROP TABLE IF EXISTS {name}")


@pytest.fixture(scope="module")
def story(spark, label, version, task):
    """A table that is labeled into another one, corrected there, changed here, and labeled again."""
    table, labels = "default.only_read", "default.its_labels"
    for name in (table, labels):
        spark.sql(f"DROP TABLE IF EXISTS {name}")
    spark.sql(f"CREATE TABLE {table} USING DELTA AS SELECT id, concat('fresh ', id) AS text FROM range(6)")
    seen = SimpleNamespace(table=table, labels=labels)
    seen.dry = label(table, into=labels, dry_run=True)
    seen.made_by_a_dry_run = spark.catalog.tableExists(labels)
    seen.first, seen.version, seen.values = label(table, into=labels), version(table), values(spark, labels)
    spark.sql(f"UPDATE {labels} SET verdict = 'rotten' WHERE id IN (0, 2, 3)")
    opened = open_task_table(spark, table, task, "id", into=labels)
    seen.answers = human_answers(spark, opened, task)
    spark.sql(f"UPDATE {table} SET text = 'rotten now' WHERE id = 1")
    spark.sql(f"INSERT INTO {table} VALUES (6, 'fresh 6')")
    seen.second, seen.later = label(table, into=labels), values(spark, labels)
    yield seen
    for name in (table, labels):
        spark.sql(f"DROP TABLE {name}")


def values(spark, labels):
    return {row.id: row.verdict for row in spark.table(labels).collect()}


def test_a_dry_run_makes_no_table(story):
    assert story.dry.pending == 6
    assert not story.made_by_a_dry_run


def test_a_table_that_is_labeled_into_another_is_left_as_it_was(story):
    assert (story.first.labeled, story.first.table) == (6, story.labels)
    assert story.version == 0
    assert story.values == dict.fromkeys(range(6), "fresh")


def test_human_answers_in_the_labels_table_are_training_data(story):
    found = story.answers
    assert {a.inputs: a.answer for a in (*found.train, *found.held_out)} == {
        (f"fresh {i}",): "rotten" for i in (0, 2, 3)
    }


def test_only_new_and_changed_rows_are_asked_again_and_human_answers_are_kept(story):
    assert (story.second.labeled, story.second.corrections_stamped) == (2, 3)
    rotten = dict.fromkeys((0, 1, 2, 3), "rotten")
    assert story.later == rotten | dict.fromkeys((4, 5, 6), "fresh")


def test_the_key_of_the_labels_stays(story, label):
    with pytest.raises(TableError, match="by the key"):
        label(story.table, into=story.labels, key=["id", "text"], column="other")


def test_a_view_can_be_labeled_into_a_table(spark, story, label, labels):
    spark.sql(
        f"CREATE OR REPLACE TEMP VIEW some AS SELECT id, concat(text, '!') AS text FROM {story.table} WHERE id < 3"
    )
    assert label("some", into=labels).labeled == 3
    assert label("some", into=labels, dry_run=True).pending == 0


def test_what_cannot_hold_the_labels_is_refused_and_left_as_it_was(spark, small, label, labels, version):
    location = spark.sql(f"DESCRIBE DETAIL {small}").first()["location"]
    spark.sql(f"CREATE TABLE {labels} USING DELTA AS SELECT id, text FROM {small}")
    for into, message in (
        (small, "is the table itself"), (labels, "was not made for labels"), ("", "not ''"),
        (f"{location}/labels", "in the folder of"),
        (f"delta.`{location}//labels`", "in the folder of"), ("labels/relative", "relative path"),
        ("nowhere.labels", "there is no schema nowhere"),
    ):  # fmt: skip
        with pytest.raises(TableError, match=message):
            label(small, into=into, dry_run=True)
    assert (version(small), version(labels)) == (0, 0)


@pytest.fixture
def doubled(spark, small, label, labels, task):
    """A table of labels in which a person inserted two rows that were there; and the table as it was opened before."""
    label(small, into=labels)
    opened = open_task_table(spark, small, task, "id", into=labels)
    spark.sql(f"INSERT INTO {labels} (id, verdict) VALUES (3, 'rotten'), (4, 'rotten')")
    return SimpleNamespace(table=small, labels=labels, opened=opened)


TWICE = r"labels_apart has several rows of labels for the same id: [34], [34]\."


def test_a_person_row_beside_the_labels_of_a_pass_is_named_and_the_hint_keeps_the_person(
    spark, doubled, label
):
    spark.sql(f"INSERT INTO {doubled.table} VALUES (9, 'fresh 9')")
    with pytest.raises(KeyColumnError, match=TWICE) as caught:
        label(doubled.table, into=doubled.labels)
    spark.sql(caught.value.hint.partition("delete the other: ")[2].partition(";")[0])
    report = label(doubled.table, into=doubled.labels)
    assert (report.labeled, report.human_kept) == (1, 2)
    assert values(spark, doubled.labels)[3] == "rotten"


def test_a_repeated_key_that_is_not_utf_8_is_named_too(spark, table, label, labels):
    spark.sql(f"CREATE TABLE {table} USING DELTA AS SELECT CAST(X'FF' AS STRING) AS id, 'fresh' AS text")
    label(table, into=labels)
    spark.sql(f"INSERT INTO {labels} (id, verdict) VALUES (CAST(X'FF' AS STRING), 'rotten')")
    with pytest.raises(KeyColumnError, match="the same id: \ufffd") as caught:
        label(table, into=labels)
    spark.sql(caught.value.hint.partition("delete the other: ")[2].partition(";")[0])
    assert label(table, into=labels).human_kept == 1


@pytest.mark.parametrize("learns", [evaluate, finetune])
def test_an_answer_that_is_there_twice_neither_judges_nor_teaches(spark, doubled, task, learns):
    with pytest.raises(KeyColumnError, match=TWICE):
        learns(spark, doubled.table, task, key="id", into=doubled.labels)


def test_what_only_lists_does_not_look_for_such_rows(spark, doubled, task):
    assert open_task_table(spark, doubled.table, task, into=doubled.labels).keys == ("id",)


@pytest.mark.parametrize(
    "error",
    [AnalysisException("[DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW]"), KeyColumnError("not unique")],
)
def test_a_row_of_labels_that_was_inserted_during_a_pass_is_not_blamed_on_the_labeled_table(
    spark, doubled, task, error
):
    request = PassRequest(labeler_spec(task, "m", "fake", {}), doubled.opened)
    with pytest.raises(KeyColumnError, match=TWICE), failures_diagnosed(spark, [request]):
        raise error


def test_a_key_that_cannot_name_a_column_is_refused_early(spark, small, label, labels):
    spark.sql(f"CREATE OR REPLACE TEMP VIEW odd AS SELECT id AS `my id`, text FROM {small}")
    with pytest.raises(ColumnError, match="'my id' cannot be the name"):
        label("odd", into=labels, key="my id")
