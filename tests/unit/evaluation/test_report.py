"""What an evaluation says of a task's kind, and how its values come out of Spark. No JVM."""

from pyspark.sql import Row

from sparklabel import EvaluationReport, extraction, multilabel, rating
from sparklabel.evaluation import measure
from sparklabel.labels.record import FieldConfidence
from sparklabel.tasks.json_values import plain


def report(task, gold, predicted, fields=(), **more):
    metrics = measure(task.answer_mode, gold, predicted, [0.9] * len(gold), ["ok"] * len(gold), fields)
    return str(
        EvaluationReport(
            task=task.name, model="m", metrics=metrics, without_gold=1, prompt_tokens=7.0, seconds=1.0,
            rows_per_second=2.0, run_id="r", **more,
        )
    )  # fmt: skip


def test_the_summary_has_the_figures_of_the_kind():
    text = report(multilabel("topics", "text", ["a", "b"]), [["a"], []], [["a"], ["b"]])
    assert "always 'a': 50.0%; macro F1 1.000, micro F1 0.667\n" in text
    assert "2 rows, 1 without a gold value left out\n" in text


def test_a_rating_has_its_distance_in_the_summary():
    assert "MAE 0.500, within one 1.000" in report(rating("stars", "text", (1, 5)), [2, 4], [2.5, 4.5])


def test_the_confidence_of_fields_is_in_the_summary():
    task = extraction("order", "text", {"city": "string"})
    fields = [[FieldConfidence("city", 0.9)], [FieldConfidence("city", 0.2)]]
    shown = report(task, [{"city": "Bonn"}] * 2, [{"city": "Bonn"}, {"city": "Ulm"}], fields)
    assert "; of fields AUROC 1.000, ECE 0.150\n" in shown


def test_the_table_that_examples_came_from_is_named():
    shown = "2 examples a prompt from t version 3 (9 answers)"
    assert shown in report(rating("stars", "text", (1, 5)), [2], [2.5], examples=shown)


def test_a_sample_says_of_how_many_rows_it_is():
    shown = report(rating("stars", "text", (1, 5)), [2], [2.5], not_asked=1_234_567)
    assert "1 rows (a sample: 1,234,567 more have an answer), 1 without a gold value" in shown


def test_structs_of_spark_become_mappings_in_arrays_too():
    found = plain([Row(text="Ann", at=Row(start=1, tags=[Row(x=None)])), None])
    assert found == [{"text": "Ann", "at": {"start": 1, "tags": [{"x": None}]}}, None]
    assert [plain(value) for value in (None, True, 2.5, ["a", None], [])] == [
        None,
        True,
        2.5,
        ["a", None],
        [],
    ]
