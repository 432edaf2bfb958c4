"""Confidence that is computed anew from people's answers, and answers that are withheld."""

import pytest
from pyspark.sql import functions as F

import sparklabel as sl
from sparklabel.confidence.calibrators import Isotonic, Platt, Temperature, others_of
from sparklabel.errors import AnswersError, ColumnError
from sparklabel.labeling.state.staging import open_staging
from sparklabel.labels.record import Alternative
from sparklabel.table.human_answers import human_answers
from sparklabel.table.row_states import ANSWER, HASH
from sparklabel.table.task_table import open_task_table

pytestmark = [
    pytest.mark.usefixtures("mlflow_store"),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]


@pytest.fixture
def task(request):
    """One a test: what is calibrated for one is not found by another."""
    return sl.classification("tone", "text", ["calm", "angry", "sad"], request.node.name)


@pytest.fixture
def table(spark):
    name = "default.to_calibrate"
    spark.sql(f"DROP TABLE IF EXISTS {name}")
    spark.sql(f"CREATE TABLE {name} USING DELTA AS SELECT id, concat('row ', id) AS text FROM range(120)")
    yield name
    spark.sql(f"DROP TABLE {name}")


def label(spark, table, task, **options):
    return sl.label_table(spark, table, task, key="id", engine="fake", progress=False, **options)


def confidences(spark, table, where="true"):
    rows = spark.sql(f"SELECT tone_label.confidence FROM {table} WHERE {where} ORDER BY id").collect()
    return [row[0] for row in rows]


@pytest.mark.parametrize(
    "calibrator", [Temperature(20.0), Platt(0.4, -1.5), Isotonic((0.3, 0.5, 0.9), (0.2, 0.6, 0.8))]
)
def test_sql_computes_the_same_confidence_as_python(spark, calibrator):
    records = [
        (0.5, [("a", 0.5), ("b", 0.3)]),
        (0.75, [("a", 0.5), ("b", 0.25)]),
        (0.4, None),
        (1.0, [("a", 1.0)]),
        (0.9, []),
    ]
    ddl = "raw_confidence DOUBLE, alternatives ARRAY<STRUCT<value: STRING, probability: DOUBLE>>"
    frame = spark.createDataFrame(records, ddl).selectExpr("struct(*) AS label")
    found = [row[0] for row in frame.selectExpr(calibrator.sql("label")).collect()]
    expected = [
        calibrator.confidence(raw, others_of(raw, others and [Alternative(*other) for other in others]))
        for raw, others in records
    ]
    assert found == pytest.approx(expected)


def test_answers_of_people_set_the_confidence_of_the_whole_table(spark, table, task):
    label(spark, table, task)
    before = confidences(spark, table)
    spark.sql(
        f"UPDATE {table} SET tone = if(id % 3 = 0, tone, if(tone = 'sad', 'calm', 'sad')), "
        "tone_label.source = 'human' WHERE id < 90"
    )
    report = sl.calibrate(spark, table, task, key="id")
    assert (report.answers, report.correct, report.rows) == (90, 30, 120)
    assert report.error_after < report.error_before
    assert [a < b for a, b in zip(confidences(spark, table), before, strict=True)] == [True] * 120


def test_a_later_pass_uses_what_was_calibrated(spark, table, task):
    label(spark, table, task, where="id < 90")
    spark.sql(
        f"UPDATE {table} SET tone = if(id % 3 = 0, tone, 'sad'), tone_label.source = 'human' WHERE id < 90"
    )
    calibrator = sl.calibrate(spark, table, task, key="id").calibrator
    label(spark, table, task)
    raw, found, alternatives = spark.sql(
        f"SELECT tone_label.raw_confidence, tone_label.confidence, tone_label.alternatives FROM {table} WHERE id = 100"
    ).collect()[0]
    others = others_of(raw, [Alternative(*other) for other in alternatives])
    assert found == pytest.approx(calibrator.confidence(raw, others))
    assert found != pytest.approx(raw)


def test_answers_to_rows_that_were_chosen_as_uncertain_do_not_calibrate(spark, table, task):
    label(spark, table, task)
    spark.sql(f"UPDATE {table} SET tone_label.source = 'human', tone_label.review_reason = 'queue'")
    with pytest.raises(AnswersError, match="has no human answers to compare a model's answers"):
        sl.calibrate(spark, table, task, key="id")


def test_withheld_answers_are_asked_again_once_less_confidence_will_do(spark, table, task):
    assert label(spark, table, task, min_confidence=0.99).by_status == {"uncertain": 120}
    assert label(spark, table, task, min_confidence=0.99).pending == 0
    assert label(spark, table, task, min_confidence=0.1).by_status == {"ok": 120}


def test_more_confidence_withholds_what_was_given_for_less(spark, table, task):
    assert label(spark, table, task).by_status == {"ok": 120}
    assert label(spark, table, task, min_confidence=0.99).by_status == {"uncertain": 120}


def test_people_who_confirm_a_guess_agree_with_the_model(spark, table, task):
    label(spark, table, task, min_confidence=0.99)
    spark.sql(
        f"UPDATE {table} SET tone = tone_label.alternatives[0].value, tone_label.source = 'human' WHERE id < 10"
    )
    assert label(spark, table, task, min_confidence=0.99).corrections_stamped == 10
    opened = open_task_table(spark, table, task, "id")
    answers = human_answers(spark, opened, task)
    assert answers.agreements == len(answers.train) > 0
    assert spark.sql(f"SELECT count(*) FROM {table} WHERE tone_label.status = 'ok'").first()[0] == 10


def test_answers_staged_under_another_threshold_are_not_taken_over(spark, table, task):
    label(spark, table, task, where="id < 0")
    opened = open_task_table(spark, table, task, "id")
    lax, strict = (
        open_staging(spark, opened.target, opened.label_columns, task, "fake:m", "p", decision)
        for decision in ("lax", "strict")
    )
    answer = sl.label_udf(task, model="m", engine="fake")("text").alias(ANSWER)
    lax.append(spark.table(table).limit(3).select(F.col("text").alias(HASH), answer), 1)
    assert (lax.answers(spark).count(), strict.answers(spark).count()) == (3, 0)


@pytest.mark.parametrize("call", [sl.calibrate, sl.evaluate, sl.finetune, sl.failures])
def test_a_table_without_labels_is_refused_alike_by_all_that_need_them(spark, table, task, call):
    with pytest.raises(ColumnError, match="has no labels of the task 'tone'"):
        call(spark, table, task, key="id")
