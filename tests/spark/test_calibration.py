"""Confidence that is computed anew from people's answers, and answers that are withheld."""

from types import SimpleNamespace

import pytest
from pyspark.sql import functions as F

import sparklabel as sl
from sparklabel.confidence.calibrators import Platt, WithFields, other_probabilities
from sparklabel.errors import AnswersError
from sparklabel.labeling.state.staging import open_staging
from sparklabel.labels.record import Alternative
from sparklabel.table.human_answers import human_answers
from sparklabel.table.row_states import ANSWER, HASH
from sparklabel.table.task_table import open_task_table

pytestmark = pytest.mark.usefixtures("mlflow_store")


def asked(instructions):
    """A task of its own for each story: what is calibrated for one is not found by another."""
    return sl.classification("tone", "text", ["calm", "angry", "sad"], instructions)


def make_table(spark, name, rows):
    spark.sql(f"DROP TABLE IF EXISTS {name}")
    spark.sql(f"CREATE TABLE {name} USING DELTA AS SELECT id, concat('row ', id) AS text FROM range({rows})")


def label(spark, table, task, **options):
    return sl.label_table(spark, table, task, key="id", engine="fake", progress=False, **options)


def confidences(spark, table):
    rows = spark.sql(f"SELECT tone_label.confidence FROM {table} WHERE id < 110 ORDER BY id").collect()
    return [row[0] for row in rows]


@pytest.fixture(scope="module")
def calibrated(spark):
    """110 of 120 rows labeled; 90 human answers to them, of which a third agree; a calibration, and a pass over the
    rest."""
    table, task = "default.to_calibrate", asked("Calibrated.")
    make_table(spark, table, 120)
    label(spark, table, task, where="id < 110")
    seen = SimpleNamespace(before=confidences(spark, table))
    spark.sql(
        f"UPDATE {table} SET tone_label.source = 'human', tone_label.review_reason = 'queue' WHERE id < 90"
    )
    with pytest.raises(AnswersError, match="has no human answers to") as refusal:
        sl.calibrate(spark, table, task, key="id")
    seen.refusal = refusal.value
    spark.sql(
        f"UPDATE {table} SET tone = if(id % 3 = 0, tone, if(tone = 'sad', 'calm', 'sad')), "
        "tone_label.review_reason = NULL WHERE id < 90"
    )
    seen.report, seen.after = sl.calibrate(spark, table, task, key="id"), confidences(spark, table)
    label(spark, table, task)
    seen.later = spark.sql(f"SELECT tone_label.* FROM {table} WHERE id = 115").first()
    spark.sql(f"INSERT INTO {table} (id, text) VALUES (120, 'row 120')")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")  # nobody listens
        seen.without_mlflow = label(spark, table, task)
    seen.by_the_table = spark.sql(f"SELECT tone_label.* FROM {table} WHERE id = 120").first()
    yield seen
    spark.sql(f"DROP TABLE {table}")


def test_answers_to_rows_that_were_chosen_as_uncertain_do_not_calibrate(calibrated):
    assert "has no human answers to" in calibrated.refusal.message


def test_human_answers_set_the_confidence_of_the_whole_table(calibrated):
    report = calibrated.report
    assert (report.answers, report.correct, report.rows) == (90, 30, 110)
    assert report.error_after < report.error_before
    assert [a < b for a, b in zip(calibrated.after, calibrated.before, strict=True)] == [True] * 110


def test_a_later_pass_uses_what_was_calibrated(calibrated):
    assert calibrated.later.confidence == expected(calibrated.later, calibrated.report)
    assert calibrated.later.confidence != pytest.approx(calibrated.later.raw_confidence)


def test_the_table_remembers_it_where_mlflow_is_gone_and_the_report_says_whose_it_is(calibrated):
    assert calibrated.by_the_table.confidence == expected(calibrated.by_the_table, calibrated.report)
    assert calibrated.without_mlflow.labeled == 1
    assert f"(MLflow run {calibrated.report.run_id})" in str(calibrated.without_mlflow)


def expected(row, report):
    others = other_probabilities(row.raw_confidence, [Alternative(*other) for other in row.alternatives])
    return pytest.approx(report.calibrator.confidence(row.raw_confidence, others))


@pytest.fixture(scope="module")
def withheld(spark):
    """Twenty rows, all withheld; a person confirms half of the guesses; then passes with other thresholds."""
    table, task = "default.withheld", asked("Withheld.")
    make_table(spark, table, 20)
    seen = SimpleNamespace(strict=label(spark, table, task, min_confidence=0.99))
    spark.sql(
        f"UPDATE {table} SET tone = tone_label.alternatives[0].value, tone_label.source = 'human' WHERE id < 10"
    )
    seen.again = label(spark, table, task, min_confidence=0.99)
    seen.answers = human_answers(spark, open_task_table(spark, table, task, "id"), task)
    seen.confirmed = spark.sql(f"SELECT count(*) FROM {table} WHERE tone_label.status = 'ok'").first()[0]
    seen.lax, seen.strict_again = (label(spark, table, task, min_confidence=least) for least in (0.1, 0.99))
    yield seen
    spark.sql(f"DROP TABLE {table}")


def test_answers_of_too_little_confidence_are_withheld_and_not_asked_again(withheld):
    assert withheld.strict.by_status == {"uncertain": 20}
    assert withheld.again.pending == 0


def test_people_who_confirm_a_guess_agree_with_the_model(withheld):
    assert (withheld.again.corrections_stamped, withheld.confirmed) == (10, 10)
    assert withheld.answers.agreements == len(withheld.answers.train) > 0


def test_withheld_answers_are_asked_again_once_less_confidence_will_do(withheld):
    assert withheld.lax.by_status == {"ok": 10}


def test_more_confidence_withholds_what_was_given_for_less(withheld):
    assert withheld.strict_again.by_status == {"uncertain": 10}


def test_answers_staged_under_another_threshold_are_not_taken_over(spark, table):
    task = asked("Staged.")
    make_table(spark, table, 3)
    label(spark, table, task, where="id < 0")
    opened = open_task_table(spark, table, task, "id")
    lax, strict = (
        open_staging(spark, opened.target, opened.label_columns, task, ["fake:m"], "p", decision)
        for decision in ("lax", "strict")
    )
    answer = sl.label_udf(task, model="m", engine="fake")("text").alias(ANSWER)
    lax.append(spark.table(table).select(F.col("text").alias(HASH), answer), 1)
    assert (lax.answers(spark).count(), strict.answers(spark).count()) == (3, 0)


def test_lists_of_labels_are_calibrated_as_lists_and_label_by_label_in_a_table_with_fields_of_its_own(spark):
    table = "default.topics_to_calibrate"
    task = sl.multilabel("tone", "text", ["calm", "angry"])
    make_table(spark, table, 60)
    label(spark, table, task)
    spark.sql(f"ALTER TABLE {table} ADD COLUMNS (tone_label.field_confidence.element.note STRING)")
    spark.sql(
        f"UPDATE {table} SET tone = if(id % 3 = 0, tone, if(size(tone) = 0, array('calm'), array())), "
        "tone_label.source = 'human'"
    )
    report = sl.calibrate(spark, table, task, key="id")
    assert isinstance(report.calibrator, WithFields)
    assert isinstance(report.calibrator.answer, Platt)
    assert report.fields == 120
    fields = spark.sql(f"SELECT tone_label.field_confidence AS fields FROM {table}").first()["fields"]
    assert [field["confidence"] for field in fields] == pytest.approx(
        [report.calibrator.fields.confidence(field["raw_confidence"], []) for field in fields]
    )
    assert [field["note"] for field in fields] == [None, None]
    spark.sql(f"DROP TABLE {table}")


def test_the_fields_of_written_answers_are_calibrated_by_themselves_in_the_table_and_in_later_passes(spark):
    table = "default.orders_to_calibrate"
    task = sl.extraction("tone", "text", {"city": "string", "rooms": "integer"})
    make_table(spark, table, 61)
    label(spark, table, task, where="id < 60")
    spark.sql(
        f"UPDATE {table} SET tone = named_struct('city', tone.city, 'rooms', tone.rooms + if(id % 3 = 0, 0, 1)), "
        "tone_label.source = 'human' WHERE id < 60"
    )
    report = sl.calibrate(spark, table, task, key="id")
    label(spark, table, task)
    rows = spark.sql(f"SELECT tone_label.field_confidence AS fields FROM {table}").collect()
    assert (report.fields, report.field_error_after < report.field_error_before) == (120, True)
    assert "on their 120 fields" in str(report)
    found = [field for row in rows for field in row["fields"]]
    expected = [report.calibrator.fields.confidence(field["raw_confidence"], []) for field in found]
    assert [field["confidence"] for field in found] == pytest.approx(expected)
    assert len(found) == 122
    spark.sql(f"DROP TABLE {table}")
