"""An engine that fails: no answer is lost to it, its rows stay pending, and a dead one is not kept."""

import pyarrow as pa
import pytest

from sparklabel import failures
from sparklabel.errors import ColumnError
from sparklabel.udf import labeler_spec
from sparklabel.udf.loading import open_labeler
from sparklabel.udf.worker import label_batches

TABLE = "default.failed"


@pytest.fixture(scope="module")
def failed(spark, label, rows_of):
    """A labeled table, and another model's pass over it whose engine fails on all rows but one."""
    spark.sql(f"DROP TABLE IF EXISTS {TABLE}")
    spark.sql(
        f"CREATE TABLE {TABLE} USING DELTA AS "
        "SELECT id, concat(if(id = 5, 'rotten ', 'fresh '), id) AS text FROM range(6)"
    )
    label(TABLE)
    spark.sql(f"UPDATE {TABLE} SET text = 'fresh and new' WHERE id = 0")
    report = label(TABLE, model="m2", relabel="model", fail_on="fresh")
    yield report, rows_of(TABLE), label(TABLE, model="m2", relabel="model", dry_run=True)
    spark.sql(f"DROP TABLE {TABLE}")


def test_a_failure_replaces_no_answer_to_the_same_input(failed):
    report, rows, _ = failed
    assert {rows[i].value for i in range(1, 5)} == {"fresh"}
    assert {rows[i].label.model for i in range(1, 5)} == {"fake:m"}
    assert report.kept_older == 4
    assert "4 rows keep their older answer because the engine failed" in str(report)


def test_a_failure_replaces_an_answer_to_another_input(failed):
    report, rows, _ = failed
    assert (rows[0].value, rows[0].label.status) == (None, "engine_error")
    assert report.by_status == {"engine_error": 1, "ok": 1}


def test_failed_rows_are_still_pending(failed):
    assert failed[2].states == {"model_changed": 4, "retry": 1, "done": 1}


def test_the_report_quotes_the_engines_error(failed):
    assert "the engine failed, for example: The fake engine fails, as fail_on asks." in str(failed[0])


def test_a_pass_stops_when_too_many_inputs_fail_and_keeps_its_answers(spark, table, label):
    spark.sql(f"CREATE TABLE {table} USING DELTA AS SELECT id, concat('fresh ', id) AS text FROM range(400)")
    report = label(table, fail_on="1", max_error_ratio=0.1)
    assert report.stopped
    assert 0 < report.by_status["ok"] < 323
    assert "stopped: the engine failed on too many inputs (max_error_ratio); call again to continue" in str(
        report
    )
    assert not label(table, max_error_ratio=0.1).stopped


@pytest.mark.parametrize(("failures", "kept"), [(3, True), (40, False)])
def test_an_engine_that_keeps_failing_is_dropped(task, failures, kept):
    spec = labeler_spec(task, f"m{failures}", "fake", {"fail_on": "boom"})
    labeler = open_labeler(spec)
    rows = pa.StructArray.from_arrays([pa.array([f"boom {i}" for i in range(failures)])], names=["text"])
    record = pa.struct([("value", pa.string()), ("status", pa.string())])
    (answers,) = label_batches(spec, iter([rows]), record)
    assert {answer["status"] for answer in answers.to_pylist()} == {"engine_error"}
    assert (open_labeler(spec) is labeler) == kept


def test_failed_rows_are_listed_with_the_reason(spark, failed, task):
    (row,) = failures(spark, TABLE, task, key="id").collect()
    assert (row.id, row.text, row.status, row.attempts) == (0, "fresh and new", "engine_error", 1)
    assert row.error == "The fake engine fails, as fail_on asks."


@pytest.mark.parametrize(("attempts", "pending"), [(1, 0), (2, 1)])
def test_failed_rows_are_asked_as_often_as_the_policy_says(failed, label, attempts, pending):
    assert label(TABLE, model="m2", dry_run=True, retry={"engine_error": attempts}).pending == pending


def test_a_table_without_labels_has_no_failures_to_list(spark, small, task):
    with pytest.raises(ColumnError, match="no labels of the task 'verdict'"):
        failures(spark, small, task, key="id")


@pytest.mark.parametrize("rows", [30, 400], ids=["small", "staged"])
def test_a_row_that_kills_the_worker_costs_itself_only(spark, table, label, rows):
    spark.sql(
        f"CREATE TABLE {table} USING DELTA AS "
        f"SELECT id, concat(if(id = 7, 'deadly ', 'fresh '), id) AS text FROM range({rows})"
    )
    report = label(table, die_on="deadly")
    assert report.by_status == {"engine_died": 1, "ok": rows - 1}
    assert label(table, dry_run=True).pending == 0
