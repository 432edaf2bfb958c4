"""What people answered, as `evaluate`, the gate and training see it."""

import pytest

import sparklabel as sl
from sparklabel.errors import AnswersError, ColumnError, TableError
from sparklabel.splits import is_held_out
from sparklabel.table.human_answers import human_answers
from sparklabel.table.task_table import open_task_table

pytestmark = pytest.mark.usefixtures("mlflow_store")
HELD_OUT = [n for n in range(60) if is_held_out([f"fresh {n}"])]


@pytest.fixture(scope="module")
def answered(spark, label):
    """60 rows of which people answered all, the first held-out one because a model was uncertain."""
    table = "default.answered"
    spark.sql(f"DROP TABLE IF EXISTS {table}")
    spark.sql(f"CREATE TABLE {table} USING DELTA AS SELECT id, concat('fresh ', id) AS text FROM range(60)")
    label(table)
    spark.sql(f"UPDATE {table} SET verdict_label.source = 'human'")
    spark.sql(f"UPDATE {table} SET verdict_label.review_reason = 'queue' WHERE id = {HELD_OUT[0]}")
    spark.sql(f"UPDATE {table} SET verdict = 'rotten' WHERE id = {HELD_OUT[1]}")
    yield table
    spark.sql(f"DROP TABLE {table}")


def test_without_gold_a_model_is_judged_as_the_gate_judges(spark, answered, task):
    report = sl.evaluate(spark, answered, task, key="id", engine="fake")
    judging = len(HELD_OUT) - 1
    assert (report.metrics.n, report.set_aside) == (judging, 60 - judging)
    assert report.accuracy == pytest.approx(1 - 1 / judging)
    found = human_answers(spark, open_task_table(spark, answered, task, "id"), task)
    assert (len(found.train), len(found.held_out)) == (60 - len(HELD_OUT), judging)
    assert list(found.left_out.values()) == [1]


def test_a_column_that_passes_write_is_not_gold(spark, answered, task):
    with pytest.raises(ColumnError, match="would count as"):
        sl.evaluate(spark, answered, task, gold="verdict", engine="fake")


def test_a_dataframe_without_a_gold_column_has_nothing_to_compare_with(spark, answered, task):
    with pytest.raises(TableError, match="nothing to compare with"):
        sl.evaluate(spark, spark.table(answered), task, engine="fake")


def test_answers_that_only_train_judge_nothing(spark, answered, table, task):
    spark.sql(f"CREATE TABLE {table} SHALLOW CLONE {answered}")
    spark.sql(f"DELETE FROM {table} WHERE id IN ({', '.join(map(str, HELD_OUT))})")
    with pytest.raises(AnswersError, match=f"{60 - len(HELD_OUT)} human answers"):
        sl.evaluate(spark, table, task, key="id", engine="fake")


def test_evaluate_reads_human_answers_from_a_separate_labels_table(spark, small, label, task):
    labels = f"{small}_labels"
    try:
        label(small, into=labels)
        spark.sql(f"UPDATE {labels} SET verdict_label.source = 'human'")
        report = sl.evaluate(spark, small, task, key="id", into=labels, engine="fake")
        assert (report.metrics.n, report.set_aside, report.accuracy) == (1, 5, 1.0)  # `fresh 5` is held out
    finally:
        spark.sql(f"DROP TABLE IF EXISTS {labels}")


def test_a_whole_number_agrees_with_the_rating_that_says_it(spark, small, label):
    task = sl.rating("stars", "text", (1, 5))
    label(small, task=task)
    spark.sql(f"UPDATE {small} SET stars = round(stars), stars_label.source = 'human'")
    found = human_answers(spark, open_task_table(spark, small, task, "id"), task)
    assert all(answer.agreed for answer in found.train)
