"""Benchmarks of tables: of a plain column all answers count, of one that passes write those of people."""

import json

import pytest

import sparklabel as sl
from sparklabel.errors import SetupError

TASK = {"kind": "classification", "name": "tone", "inputs": ["text"], "labels": ["calm", "angry"]}
FAKE = {"model": "m", "engine": "fake"}

pytestmark = pytest.mark.usefixtures("mlflow_store")


@pytest.fixture
def measured(spark, tmp_path, request):
    """Makes a table of 200 rows, which name their label, and measures the fake engine on a column of it."""
    table = f"default.{request.node.originalname}"
    gold = "CASE WHEN id % 10 = 9 THEN NULL WHEN id % 2 = 0 THEN 'calm' ELSE 'angry' END"
    text = "concat(if(id % 2 = 0, 'calm ', 'angry '), id)"
    spark.sql(
        f"CREATE TABLE {table} USING DELTA AS SELECT id, {text} AS text, {gold} AS gold FROM range(200)"
    )

    def measure(answer, prepare=lambda table: None, **options):
        prepare(table)
        found = json.dumps({"task": TASK, "answer": answer, "table": table})
        (tmp_path / "tones.yaml").write_text(found, "utf-8")
        [cell] = sl.benchmark(
            tmp_path, models=[FAKE], out=tmp_path / "out", **{"spark": spark} | options
        ).cells
        return cell

    yield measure
    spark.sql(f"DROP TABLE {table}")


def test_of_a_plain_column_the_rows_with_an_answer_are_measured(measured):
    cell = measured("gold")
    assert 15 < len(cell.said) < 60, "a fifth of 180"
    assert cell.value == 1.0
    assert measured("gold").said == cell.said


def test_of_a_column_that_passes_write_only_people_count(spark, measured):
    def label(table):
        task = sl.classification("tone", "text", TASK["labels"])
        sl.label_table(spark, table, task, key="id", model="m", engine="fake", progress=False)
        spark.sql(f"UPDATE {table} SET tone = 'angry', tone_label.source = 'human' WHERE id < 100")

    cell = measured("tone", label)
    assert 8 < len(cell.said) < 35, "a fifth of 100"
    assert 0.2 < cell.value < 0.8, "half of what people said is not in the text"


@pytest.mark.parametrize(
    ("answer", "options", "message"),
    [
        ("gold", {"spark": None}, "there is no session to read it with"),
        ("glod", {}, "has no column 'glod'"),
    ],
)
def test_a_table_that_cannot_be_measured_is_named(measured, answer, options, message):
    with pytest.raises(SetupError, match=message):
        measured(answer, **options)
