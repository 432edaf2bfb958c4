"""Rating: the expectation over a scale, the forms that a scale may be written in, and what a stored number says."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparklabel import load_task, rating
from sparklabel.engines.fake import FakeEngine
from sparklabel.errors import TaskError
from sparklabel.labeler import Labeler
from sparklabel.tasks import counts, task_from_dict

STARS = rating("stars", "text", (1, 5), examples=[("Fine.", 4)])
UNEVEN = rating("dose", "text", [1, 2, 10])


def decide(shares, task=STARS):
    with np.errstate(divide="ignore"):
        return task.answer_mode.decide(np.log(shares))


def test_two_whole_numbers_stand_for_all_between_them():
    assert STARS.points == (1, 2, 3, 4, 5)
    assert rating("r", "text", [1, 2, 3, 4, 5]).fingerprint == rating("r", "text", (1, 5)).fingerprint


def test_two_points_with_whole_numbers_between_are_a_mapping():
    assert rating("r", "text", {1: "", 5: ""}).points == (1, 5)


def test_a_described_point_is_explained_in_the_question():
    question = rating("r", "text", {1: "bad", 2.5: "", 4: "good"}).question()
    assert question.endswith("one of these numbers:\n- 1: bad\n- 2.5: \n- 4: good")


def test_numbers_are_spoken_without_needless_points():
    assert rating("r", "text", [1.0, 2.5]).answer_mode.verbalized == ("1", "2.5")
    assert STARS.verbalize(4.0) == "4"


def test_the_value_is_the_expectation():
    assert decide([0.1, 0.1, 0.2, 0.3, 0.3]).value == pytest.approx(3.6)


def test_the_confidence_is_the_probability_within_half_a_step():
    assert decide([0.1, 0.1, 0.2, 0.3, 0.3]).confidence == pytest.approx(0.3)
    assert decide([0, 0.5, 0.5, 0, 0]).confidence == pytest.approx(
        1.0
    )  # 2 and 3 are both half a step from 2.5


def test_on_an_uneven_scale_half_of_the_smallest_step_counts():
    assert decide([0.5, 0, 0.5], UNEVEN).confidence == 0.0  # 5.5 is far from every point
    assert decide([0.1, 0.9, 0], UNEVEN).confidence == pytest.approx(0.9)


def test_the_alternatives_are_the_five_most_probable_points_as_numbers_of_the_column():
    wide = decide([0.05, 0.4, 0.1, 0.2, 0.15, 0.07, 0.03], rating("r", "text", (0, 6)))
    assert [a.value for a in wide.alternatives] == [1.0, 3.0, 4.0, 2.0, 5.0]
    assert all(isinstance(a.value, float) for a in wide.alternatives)


@given(st.lists(st.floats(-20, 20), min_size=5, max_size=5))
def test_an_answer_is_always_one_that_the_task_accepts(logits):
    log_p = np.array(logits) - np.logaddexp.reduce(logits)
    decided = STARS.answer_mode.decide(log_p)
    assert STARS.answer_mode.accepts(decided.value)
    assert 0 <= decided.confidence <= 1


def test_a_stored_number_says_the_nearest_point_within_the_scale():
    chosen = STARS.answer_mode.chosen
    assert [chosen(value) for value in (1, 1.4, 2.5, 4.9, 5.0)] == [(0,), (0,), (1,), (4,), (4,)]
    assert [chosen(value) for value in (0.9, 5.1, float("nan"), None, "3", True)] == [()] * 6


def test_answers_are_counted_by_their_points():
    assert counts(STARS.answer_mode, [3.0, 1.2, 1.0, None, 9.0]) == {"1": 2, "3": 1}


def test_an_answer_is_right_where_its_nearest_point_is():
    mode = STARS.answer_mode
    assert (mode.agreement(3, 3.4), mode.agreement(3, 3.6), mode.agreement(3, None)) == (1.0, 0.0, 0.0)


def test_a_row_is_rated_between_the_points():
    found = Labeler(STARS, FakeEngine(), model="m").label([["I give it a 4"]])[0]
    shares = {a.value: a.probability for a in found.alternatives}
    assert found.value == pytest.approx(sum(point * share for point, share in shares.items()))
    assert found.alternatives[0].value == 4.0


SCALES = [
    (1, 5),
    [0.5, 1, 2],
    [0, 10],
    {1: "bad", 2: "", 3: "good"},
    {1: "", 5: ""},
    {-0.5: "", 0.5: "x"},
    [1, 2, 7],
]


@pytest.mark.parametrize("scale", SCALES, ids=str)
def test_yaml_and_json_give_back_an_equal_task(tmp_path, scale):
    task, path = rating("r", "text", scale), tmp_path / "task.yaml"
    path.write_text(task.to_yaml())
    for back in (load_task(path), task_from_dict(json.loads(json.dumps(task.to_dict())))):
        assert back == task
        assert back.fingerprint == task.fingerprint


BAD = {
    "one point": ([1], "scale: a scale has 2 to 1,001 points, not 1"),
    "no point": ([], "not 0"),
    "a falling range": ((5, 1), "1 comes after 5: a scale must be ascending"),
    "a point twice": ([1, 2, 2], "2 comes after 2"),
    "a range that is too long": ((0, 10**9), "at most 1,001 points"),
    "a point that is no number": ([1, "two"], "'two' is not a number"),
    "an infinite point": ([1, float("inf")], "inf is not a number"),
    "truth values": ([False, True], "False is not a number"),
    "no scale": (None, "scale must be a list"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_scale_is_refused(case):
    scale, message = BAD[case]
    with pytest.raises(TaskError) as caught:
        rating("stars", "text", scale)
    assert message in caught.value.message


def test_a_scale_of_yaml_that_is_no_list_is_refused():
    with pytest.raises(TaskError, match="3 is not a scale"):
        task_from_dict({"kind": "rating", "name": "r", "inputs": "text", "scale": 3})


@pytest.mark.parametrize("answer", [6, True, "4", None, [4]])
def test_an_example_beside_the_scale_is_refused(answer):
    with pytest.raises(TaskError, match="not a number of the scale"):
        rating("stars", "text", (1, 5), examples=[("Fine.", answer)])
