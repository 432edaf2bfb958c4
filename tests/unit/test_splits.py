"""Which human answers are held out."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparklabel.splits import fold, is_held_out, is_validation, seems_chosen


def test_held_out_membership_never_changes():
    # These are stored facts: were they to change, rows that trained an old model would judge a new one.
    held_out = [n for n in range(20) if is_held_out([f"row {n}"])]
    assert held_out == [2, 4, 9, 15, 16, 18]


def test_validation_membership_never_changes():
    # Candidates that are compared over days are judged on the same rows.
    assert [n for n in range(20) if is_validation([f"row {n}"])] == [0, 3, 10, 12, 16]


def test_a_fifth_of_the_training_rows_is_for_validation_whether_held_out_rows_are_or_not():
    training = [n for n in range(5000) if not is_held_out([f"row {n}"])]
    assert np.mean([is_validation([f"row {n}"]) for n in training]) == pytest.approx(0.2, abs=0.02)


def test_about_the_share_asked_for_is_held_out():
    rows = range(5000)
    assert np.mean([is_held_out([f"row {n}"]) for n in rows]) == pytest.approx(0.2, abs=0.02)
    assert np.mean([is_held_out([f"row {n}"], share=0.5) for n in rows]) == pytest.approx(0.5, abs=0.02)


def test_a_larger_share_keeps_what_a_smaller_one_held_out():
    assert all(is_held_out([f"row {n}"], share=0.4) for n in range(500) if is_held_out([f"row {n}"]))


@pytest.mark.parametrize(
    "twin", ["  The FILM\tis fine ", "the ﬁlm is fine", "the film\n\nis\u00a0fine", "the \uff46ilm is fine"]
)
def test_equal_text_in_another_dress_is_on_the_same_side(twin):
    for number in range(50):
        assert is_held_out([f"the film is fine {number}"]) == is_held_out([f"{twin} {number}"])


def test_the_borders_between_inputs_count():
    def membership(make):
        return [is_held_out(make(f"text {n}"), share=0.5) for n in range(64)]

    sides = [
        membership(lambda t: [f"{t}a", "b"]),
        membership(lambda t: [t, "ab"]),
        membership(lambda t: [t, ""]),
        membership(lambda t: [t]),
    ]
    assert len({tuple(side) for side in sides}) == len(sides)


def test_null_is_on_the_side_of_a_blank_text():
    assert all(is_held_out([f"text {n}", None]) == is_held_out([f"text {n}", " "]) for n in range(50))


@given(st.text(st.characters(exclude_categories=[])), st.text(" \t\n\u00a0"))
def test_any_text_has_a_side_whatever_its_blanks(text, blanks):
    # Half a surrogate pair and NUL too: no text may fail a training.
    assert is_held_out([blanks + text, None]) == is_held_out([text + blanks, None])


def test_texts_that_are_not_letters_are_held_out_as_often():
    odd = [is_held_out([f"\ud800{chr(n)}\x00{n}", None]) for n in range(5000)]
    assert np.mean(odd) == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize(
    ("held_out", "inputs", "chosen"),
    [(40, 200, False), (60, 200, False), (80, 200, True), (3, 3, False), (176, 625, False), (177, 625, True)],
)
def test_more_held_out_inputs_than_chance_gives_seem_chosen(held_out, inputs, chosen):
    assert seems_chosen(held_out, inputs) is chosen


def test_equal_inputs_share_a_fold_and_folds_are_about_equally_large():
    assert fold(["A  text", None], 5) == fold(["a text", ""], 5)
    sizes = Counter(fold([f"text {number}"], 5) for number in range(5_000))
    assert sorted(sizes) == [0, 1, 2, 3, 4]
    assert min(sizes.values()) > 900
