"""Matching: two records of a row, told apart in the prompt, and a truth value for an answer."""

import numpy as np
import pytest

from sparklabel import load_task, matching
from sparklabel.engines.fake import ByteTokenizer, FakeEngine
from sparklabel.errors import TaskError
from sparklabel.labeler import Labeler
from sparklabel.labels.record import Alternative
from sparklabel.prompts import chat_template
from sparklabel.tasks import counts, task_from_dict

EXAMPLE = ({"left_title": "Drill", "left_price": "9", "title": "A drill"}, True)
TASK = matching("same", ["left_title", "left_price"], "title", examples=[EXAMPLE])


def label(*texts):
    return Labeler(TASK, FakeEngine(), model="m").label([texts])[0]


def test_the_inputs_are_the_left_columns_then_the_right_ones():
    assert TASK.inputs == ("left_title", "left_price", "title")


def test_the_question_says_which_fields_are_which_record_by_the_titles_that_the_row_has():
    prompt = "".join(piece.text for piece in chat_template(TASK, ByteTokenizer()).pieces)
    assert "First record: Left title, Left price. Second record: Title.\n" in prompt
    assert "Left title: Drill\nLeft price: 9\nTitle: A drill\nAnswer: yes\n" in prompt


def test_the_answer_is_a_truth_value():
    found = label("a drill", "9", "yes, the same drill")
    assert found.value is True
    assert found.alternatives == (
        Alternative(True, found.confidence),
        Alternative(False, pytest.approx(1 - found.confidence)),
    )
    assert label("a drill", "9", "no drill").value is False


def test_what_is_no_truth_value_is_no_answer():
    mode = TASK.answer_mode
    assert [mode.chosen(value) for value in (True, False, None, "yes")] == [(0,), (1,), (), ()]
    assert counts(mode, [False, True, False]) == {"False": 2, "True": 1}


def test_a_lean_to_yes_may_be_corrected():
    assert matching("same", "a", "b", prior="content_free").answer_mode.prior_correction


def test_yaml_gives_back_an_equal_task(tmp_path):
    path = tmp_path / "task.yaml"
    path.write_text(TASK.to_yaml())
    assert load_task(path) == TASK


def test_yaml_need_not_name_the_inputs():
    fields = {"kind": "matching", "name": "same", "left": "a", "right": ["b", "c"]}
    assert task_from_dict(fields) == matching("same", "a", ["b", "c"])


BAD = {
    "other inputs": ({"inputs": ["b", "a"]}, "inputs must be the left columns, then the right ones"),
    "a column on both sides": ({"right": "A"}, "a column is named twice"),
    "a side without columns": ({"right": []}, "right: name at least one column"),
    "one side only": ({"right": None}, "right: "),
    "an example answered in words": ({"examples": [(("x", "y"), "yes")]}, "'yes', which is not true or false"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_definition_is_refused(case):
    changes, message = BAD[case]
    with pytest.raises(TaskError) as caught:
        task_from_dict({"kind": "matching", "name": "same", "left": "a", "right": "b"} | changes)
    assert message in caught.value.message


def test_a_side_that_is_missing_is_what_the_error_names():
    with pytest.raises(TaskError, match=r"cannot be used: right: is missing\n"):
        task_from_dict({"kind": "matching", "name": "same", "left": "a"})


def test_the_sides_are_in_the_fingerprint():
    one, other = matching("same", ["a", "b"], "c"), matching("same", "a", ["b", "c"])
    assert one.fingerprint != other.fingerprint


def test_true_comes_first_where_both_are_as_probable():
    assert TASK.answer_mode.decide(np.log([0.5, 0.5])).value is True
