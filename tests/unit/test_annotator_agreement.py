"""Agreement, against the worked example of Krippendorff (2011) and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from sparklabel.annotator_agreement import alpha, interval_alpha, kappa, pairwise_kappas

NOBODY = None
FOUR_PEOPLE = (
    (1, 2, 3, 3, 2, 1, 4, 1, 2, NOBODY, NOBODY, NOBODY),
    (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NOBODY, 3),
    (NOBODY, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NOBODY),
    (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NOBODY),
)
ROWS = [[value for value in row if value is not NOBODY] for row in zip(*FOUR_PEOPLE, strict=True)]

THREE_PEOPLE = ("*****34121133*3", "1*213343*******", "**21344*21133*4")


def test_alpha_of_the_example_in_the_paper():
    nominal = alpha(ROWS)
    assert nominal == pytest.approx(0.743, abs=5e-4)
    assert interval_alpha(ROWS) == pytest.approx(0.849, abs=5e-4)


def test_alpha_of_three_people_of_whom_one_answers_every_second_row():
    rows = [[int(value) for value in row if value != "*"] for row in zip(*THREE_PEOPLE, strict=True)]
    assert alpha(rows) == pytest.approx(0.691, abs=5e-4)
    assert interval_alpha(rows) == pytest.approx(0.811, abs=5e-4)


def test_kappa_is_that_of_scikit_learn():
    draw = np.random.default_rng(0)
    one = draw.choice(list("abc"), 200)
    other = np.where(draw.random(200) < 0.7, one, draw.choice(list("abc"), 200))
    assert kappa(list(zip(one, other, strict=True))) == pytest.approx(cohen_kappa_score(one, other))


def test_without_two_answers_to_a_row_there_is_no_agreement():
    assert alpha([["a"], ["b"], []]) is None
    assert alpha([["a", "a"], ["a", "a"]]) is None
    assert kappa([]) is None


def test_answers_at_random_agree_by_chance():
    draw = np.random.default_rng(0).choice(list("ab"), (5000, 2))
    assert abs(alpha(draw.tolist())) < 0.05


def test_kappas_of_each_two_people_who_share_rows():
    rows = [{"ann": "a", "bo": "a"}, {"ann": "b", "bo": "b"}, {"ann": "a", "cy": "b"}, {"bo": "a"}]
    assert pairwise_kappas(rows) == {("ann", "bo"): (1.0, 2), ("ann", "cy"): (0.0, 1)}
