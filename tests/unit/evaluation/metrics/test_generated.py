"""Measures of generated answers, by hand-counted cases."""

import pytest

from sparklabel.evaluation.metrics.generated import generated_metrics


def entity(text, start=None, kind="person"):
    return {"text": text, "type": kind, "start": start, "end": None if start is None else start + len(text)}


def of(name, *rows):
    """Figures over rows of gold, predicted, and whether the row was completed."""
    rows = [(*row, True)[:3] for row in rows]
    return generated_metrics(name, *zip(*rows, strict=True))


def test_extraction_counts_whole_answers_and_fields():
    gold = {"vendor": "Baker Ltd", "total": 2.0}
    figures = of(
        "extraction",
        (gold, {"vendor": "baker  ltd", "total": 2.0}),
        (gold, {"vendor": "Baker", "total": None}),
    )
    assert figures == pytest.approx({
        "exact": 0.5, "field_exact.vendor": 0.5, "field_exact.total": 0.5,
        "field_partial.vendor": (1 + 2 / 3) / 2, "field_partial.total": 0.5,
    })  # fmt: skip


def test_a_field_that_is_rightly_null_is_right():
    assert of("extraction", ({"a": None}, {"a": None})) == {
        "exact": 1,
        "field_exact.a": 1,
        "field_partial.a": 1,
    }


def test_spans_are_counted_over_all_rows():
    figures = of(
        "entities", ([entity("Ada", 0), entity("Bob", 8)], [entity("Ada", 0)]), ([], [entity("Eve", 3)])
    )
    assert (figures["strict_precision"], figures["strict_recall"], figures["strict_f1"]) == (0.5, 0.5, 0.5)
    assert figures["exact"] == 0


def test_an_overlap_counts_half_whatever_the_type():
    figures = of("entities", ([entity("Ada Byron", 0)], [entity("Ada", 0, "org")]))
    assert (figures["strict_f1"], figures["partial_f1"]) == (0, 0.5)


def test_a_span_is_matched_once_and_its_own_boundaries_come_first():
    figures = of("entities", ([entity("Ada B", 0), entity("Ada", 0)], [entity("Ada", 0)]))
    assert (figures["partial_precision"], figures["partial_recall"]) == (1, 0.5)


@pytest.mark.parametrize("turn", [1, -1])
def test_spans_are_matched_for_the_most_credit_in_whatever_order(turn):
    gold = [entity("0123456789", 0), entity("0123456789", 10)]
    found = [entity("2345678901234", 2), entity("567", 5)]
    assert of("entities", (gold, found[::turn]))["partial_f1"] == 0.5


def test_without_places_texts_are_compared():
    figures = of("entities", ([entity("Ada"), entity("Bob Smith")], [entity("Ada", 0), entity("bob", 8)]))
    assert (figures["strict_recall"], figures["partial_recall"]) == (0.5, 0.75)


def test_no_entities_anywhere_and_none_found_is_right():
    assert set(of("entities", ([], [])).values()) == {1.0}


def test_questions_with_and_without_an_answer_are_told_apart():
    figures = of(
        "answering", ("the Ada", "Ada!"), ("Ada Byron", "Ada"), ("Ada", None), (None, None), (None, "Ada")
    )
    assert figures == pytest.approx({
        "exact_match": 2 / 5, "f1": (1 + 2 / 3 + 0 + 1 + 0) / 5, "has_answer_f1": (1 + 2 / 3) / 3,
        "no_answer_accuracy": 0.5,
    })  # fmt: skip


def test_a_figure_without_rows_is_left_out():
    assert "no_answer_accuracy" not in of("answering", ("Ada", "Ada"))


def test_text_is_compared_whole_and_by_words():
    assert of("generation", ("A text", "a  text"), ("one two", "one")) == pytest.approx(
        {"exact_match": 0.5, "f1": (1 + 2 / 3) / 2}
    )


@pytest.mark.parametrize(
    ("name", "gold"),
    [("extraction", {"a": None}), ("entities", []), ("answering", None), ("generation", "x")],
)
def test_a_row_that_was_not_completed_is_wrong(name, gold):
    done, failed = of(name, (gold, gold)), of(name, (gold, None, False))
    whole = "exact" if "exact" in done else "exact_match"
    assert (done[whole], failed[whole]) == (1, 0)


def test_no_rows_are_no_measure():
    with pytest.raises(ValueError, match="no rows"):
        generated_metrics("answering", [], [], [])
