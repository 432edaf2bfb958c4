"""A table labeled as rows arrive: appended ones by the stream, the others by a sweep."""

import pytest

from sparklabel import classification, label_stream
from sparklabel.delta.snapshot import open_snapshot
from sparklabel.errors import TableError, TaskError


@pytest.fixture
def stream(spark, task, tmp_path):
    """Answers what has arrived."""

    def run(table, task=task, **options):
        defaults = {
            "key": "id",
            "checkpoint": str(tmp_path / "at [1] {x} 50% *"),
            "model": "m",
            "engine": "fake",
        }
        label_stream(spark, table, task, **defaults | options).awaitTermination()

    return run


def test_appended_rows_are_labeled_and_updated_ones_by_the_sweep(spark, small, stream, rows_of):
    stream(small)
    assert {row.value for row in rows_of(small).values()} == {"fresh"}
    first = rows_of(small)[0].label
    spark.sql(f"UPDATE {small} SET text = 'rotten now' WHERE id = 1")
    spark.sql(f"INSERT INTO {small} (id, text) VALUES (6, 'rotten 6')")
    stream(small)
    rows = rows_of(small)
    assert (rows[6].value, rows[1].value, rows[0].label) == ("rotten", "fresh", first)
    spark.sql(f"INSERT INTO {small} (id, text) VALUES (7, 'fresh 7')")
    stream(small, sweep_every=1)
    assert [rows_of(small)[i].value for i in (1, 7)] == ["rotten", "fresh"]


def test_into_a_table_of_its_own_a_row_that_was_deleted_and_came_again_is_answered_once(spark, small, stream):
    labels = f"{small}_labels"
    for text in ("fresh 6", "rotten 6"):
        spark.sql(f"DELETE FROM {small} WHERE id = 6")
        spark.sql(f"INSERT INTO {small} (id, text) VALUES (6, '{text}')")
    stream(small, into=labels)
    found = {row.id: row.verdict for row in spark.table(labels).where("id < 6").collect()}
    assert found == dict.fromkeys(range(6), "fresh")
    assert spark.table(labels).where("id = 6").count() == 1
    spark.sql(f"INSERT INTO {small} (id, text) VALUES (7, 'fresh 7')")
    stream(small, into=labels, sweep_every=1)
    assert [row.verdict for row in spark.table(labels).where("id = 6").collect()] == ["rotten"]
    spark.sql(f"DROP TABLE {labels}")


def test_a_task_that_cannot_be_asked_is_refused_before_columns_are_added(small, stream, version):
    with pytest.raises(TaskError, match="tokens of context"):
        stream(small, task=classification("verdict", "text", ["fresh", "rotten"], "long " * 2000))
    assert version(small) == 0


def test_what_cannot_be_streamed_is_refused_before_anything_is_written(spark, small, stream, version):
    spark.sql(f"CREATE OR REPLACE TEMP VIEW seen AS SELECT * FROM {small}")
    with pytest.raises(TableError, match="is a view"):
        stream("seen", into="default.never_made")
    inside = {"checkpoint": f"{open_snapshot(spark, small).location}/checkpoint"}
    for wrong in ({"sweep_every": 0}, {"trigger": "soon"}, {"checkpoint": "here"}, inside):
        with pytest.raises(TableError, match=next(iter(wrong))):
            stream(small, **wrong)
    assert version(small) == 0
