"""What evaluation measures: what every kind has, and what each has of its own."""

import pytest

from sparklabel import classification, extraction, matching, multilabel, rating
from sparklabel.errors import AnswersError
from sparklabel.evaluation.metrics.summary import measure
from sparklabel.labels.record import FieldConfidence

VERDICT = classification("verdict", "text", ["bad", "good", "odd"])
TOPICS = multilabel("topics", "text", ["art", "sports", "war"])
SAME = matching("same", "a", "b")
STARS = rating("stars", "text", (1, 5))


def metrics(rows, task=VERDICT):
    """Rows of (gold, predicted, confidence, status)."""
    return measure(task.answer_mode, *zip(*rows, strict=True))


def answered(pairs, task):
    """Rows of (gold, predicted), all of them answered; None as the answer is a failed row."""
    return metrics(
        [(g, p, 0.8, "ok") if p is not None else (g, None, None, "timeout") for g, p in pairs], task
    )


def test_a_failed_row_counts_as_wrong_and_not_among_the_completed():
    found = metrics([("good", "good", 0.9, "ok"), ("bad", None, None, "engine_error")])
    assert (found.n, found.completed, found.completion_rate) == (2, 1, 0.5)
    assert (found.accuracy, found.accuracy_completed) == (0.5, 1.0)


def test_the_status_decides_even_when_a_failed_row_has_a_value():
    assert metrics([("good", "good", 0.9, "timeout"), ("bad", "bad", 0.9, "ok")]).accuracy == 0.5


def test_a_truncated_row_is_completed():
    assert metrics([("good", "good", 0.9, "truncated")]).accuracy == 1.0


def test_when_every_row_failed_there_is_nothing_to_rank():
    found = metrics([("good", None, None, "too_long")] * 3)
    assert (found.accuracy, found.measures) == (0.0, {"macro_f1": 0.0})
    assert (found.accuracy_completed, found.confidence_auroc, found.ece, found.ece_interval) == (None,) * 4


def test_macro_f1_is_over_the_labels_that_occur_in_gold():
    rows = [("good", "good", 0.9, "ok"), ("good", "odd", 0.6, "ok"), ("bad", "bad", 0.8, "ok")]
    assert metrics(rows).measures["macro_f1"] == pytest.approx((1.0 + 2 / 3) / 2)  # "odd" was only predicted


def test_a_failed_row_lowers_its_labels_recall():
    found = metrics([("good", "good", 0.9, "ok"), ("good", None, None, "timeout"), ("bad", "bad", 0.8, "ok")])
    assert [(s.label, s.support, s.precision, s.recall) for s in found.labels] == [
        ("bad", 1, 1.0, 1.0),
        ("good", 2, 1.0, 0.5),
    ]


def test_a_gold_value_outside_the_task_is_wrong_and_not_in_the_f1():
    found = metrics([("good", "good", 0.9, "ok"), ("new", "bad", 0.9, "ok")])
    assert (found.accuracy, found.measures["macro_f1"]) == (0.5, 1.0)


def test_the_majority_class_is_what_one_answer_to_all_would_give():
    found = metrics([("bad", "bad", 0.5, "ok")] * 2 + [("good", "bad", 0.5, "ok")] * 3)
    assert found.majority == ("good", 0.6)


def test_a_match_is_what_precision_and_recall_are_about():
    found = answered([(True, True), (True, False), (True, None), (False, True), (False, False)], SAME)
    assert found.accuracy == 0.4
    assert found.majority == ("True", 0.6)
    assert found.measures == pytest.approx({"f1": 2 / 5, "precision": 1 / 2, "recall": 1 / 3})


def test_without_any_match_there_is_nothing_found():
    assert answered([(False, False)], SAME).measures == {"f1": 0.0, "precision": 0.0, "recall": 0.0}


def test_a_rating_is_right_where_its_nearest_point_is():
    found = answered([(4, 4.4), (4, 4.6), (2, 4.0), (2, None)], STARS)
    assert found.accuracy == 0.25
    assert found.measures == pytest.approx({"mae": (0.4 + 0.6 + 2) / 3, "within_one": 0.5})


def test_a_rating_that_failed_has_no_distance():
    assert answered([(2, None)], STARS).measures == {"within_one": 0.0}


def test_a_list_of_labels_is_right_as_a_whole_and_f1_is_about_each_label():
    found = answered(
        [(["art", "war"], ["war", "art"]), (["art"], ["art", "sports"]), (["war"], None)], TOPICS
    )
    assert found.accuracy == pytest.approx(1 / 3)
    assert [(s.label, s.support, s.predicted, s.f1) for s in found.labels] == [
        ("art", 2, 2, 1.0),
        ("sports", 0, 1, 0.0),
        ("war", 2, 1, pytest.approx(2 / 3)),
    ]
    # "sports" was only predicted: it counts in the micro average, and not in the macro average.
    assert found.measures == pytest.approx({"macro_f1": (1 + 2 / 3) / 2, "micro_f1": 6 / 8})


def test_the_most_frequent_list_may_be_the_empty_one():
    found = answered([([], []), ([], ["art"]), (["art", "war"], [])], TOPICS)
    assert found.majority == ("none of them", pytest.approx(2 / 3))


def test_figures_leave_out_what_is_none():
    figures = metrics([("good", "good", 0.9, "ok")]).figures()
    assert (figures["accuracy"], figures["majority_accuracy"], figures["macro_f1"]) == (1.0, 1.0, 1.0)
    assert "confidence_auroc" not in figures


def test_no_rows_are_refused():
    with pytest.raises(AnswersError, match="no row has a gold value"):
        measure(VERDICT.answer_mode, [], [], [], [])


def test_the_fields_of_written_values_are_judged_by_themselves_and_those_of_failed_rows_not():
    mode = extraction("order", "text", {"city": "string", "rooms": "integer"}).answer_mode
    gold, value = {"city": "Bonn", "rooms": 2}, {"city": "Bonn", "rooms": 3}
    fields = [FieldConfidence("city", 0.9), FieldConfidence("rooms", 0.2)]
    found = measure(mode, [gold] * 2, [value] * 2, [0.5] * 2, ["ok", "timeout"], [fields] * 2)
    assert (found.field_auroc, found.field_ece) == (1.0, pytest.approx(0.15))


def test_without_fields_there_is_nothing_to_say_of_them():
    found = answered([("good", "good")], VERDICT)
    assert (found.field_auroc, found.field_ece) == (None, None)
