"""Which human answers are probably mistakes, without a table."""

import numpy as np
import pytest

from sparklabel.reviewing.suspicious import chosen_value, out_of_fold, suspicion
from sparklabel.table.human_answers import HumanAnswer
from sparklabel.tasks import classification, matching, multilabel, rating
from sparklabel.training.classifier_fit import AnsweredRows


class Letters:
    """An encoder whose vectors are how often a text has an a, a b and a c."""

    identity = "letters"

    def embed(self, texts):
        counts = np.array([[text.count(letter) for letter in "abc"] for text in texts], np.float32).reshape(
            -1, 3
        )
        return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)


def test_an_answer_is_suspicious_by_how_much_more_probable_another_one_is():
    log_p = np.log([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.5, 0.4, 0.1]])
    found = suspicion(log_p, np.array([[0], [0], [1]]), (3,))
    assert found.margin == pytest.approx([0.5, -0.5, -0.1])
    assert found.other.tolist() == [[1], [2], [0]]
    assert found.ranked(2).tolist() == [1, 2]


def test_of_several_questions_the_most_suspicious_answer_counts():
    log_p = np.log([[0.9, 0.1, 0.2, 0.8], [0.4, 0.6, 0.1, 0.9]])
    found = suspicion(log_p, np.array([[0, 0], [0, 1]]), (2, 2))
    assert found.margin == pytest.approx([-0.6, -0.2])
    assert found.other.tolist() == [[0, 1], [1, 1]]


@pytest.mark.parametrize(
    ("task", "chosen", "value"),
    [
        (classification("t", "text", ["x", "y"]), [1], "y"),
        (matching("t", "one", "other"), [1], False),
        (rating("t", "text", (1, 3)), [0], 1.0),
        (multilabel("t", "text", ["x", "y", "z"]), [1, 0, 0], ["y", "z"]),
    ],
)
def test_a_choice_is_shown_as_a_value_of_the_task(task, chosen, value):
    found = chosen_value(task.answer_mode, np.array(chosen))
    assert (found, type(found)) == (value, type(value))


def test_a_wrong_answer_among_many_right_ones_comes_first():
    task = classification("t", "text", ["x", "y"])
    answers = [HumanAnswer((f"{'ab'[n % 2] * 3} {n}",), "xy"[n % 2], None) for n in range(60)]
    answers[17] = HumanAnswer(answers[17].inputs, "x", None)
    found = out_of_fold(AnsweredRows.of(task, answers), Letters())
    assert found.ranked(1).tolist() == [17]
    assert found.other[17].tolist() == [1]
    assert np.sort(found.margin)[1] > 0
