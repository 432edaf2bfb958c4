"""What `finetune` prints. No JVM."""

import math

import pytest

from sparklabel import TrainingReport
from sparklabel.confidence.calibrators import Temperature
from sparklabel.training.gate import judge


def report(**changes):
    fields = {
        "table": "tickets", "version": 4, "task": "verdict", "base": "b", "registered_name": "verdict-tickets",
        "model": "models:/verdict-tickets/1", "champion": None, "run_id": "r1", "answers": 1653,
        "counts": {"fresh": 1000, "rotten": 653}, "agreements": 327, "held_out": 147, "left_out": {}, "truncated": 0,
        "loss": 0.4321, "steps": 93, "training_seconds": 60.0, "tokens_per_second": 1234.5, "seconds": 90.0,
        "gate": judge([True] * 147, [False] * 147), "baseline": "the base", "probe_accuracy": 0.75,
        "probe": "hidden states", "calibrator": Temperature(1.4),
    }  # fmt: skip
    return TrainingReport(**fields | changes)


def test_the_summary_says_what_was_trained_and_judged():
    text = str(report())
    assert (
        "tickets version 4: task verdict, 1,653 answers to learn from (327 agree with the model), 147 held out"
        in text
    )
    assert "they say: fresh 1,000, rotten 653\n" in text
    assert "held-out accuracy: new model 100.0%, the base 0.0%, linear probe of hidden states 75.0%" in text
    assert "gate: promoted. Better: +100.0 points" in text
    assert "confidence calibrated on them: temperature 1.4" in text
    assert "there is no champion yet" in text


def test_nothing_is_said_of_what_did_not_happen():
    text = str(report(probe_accuracy=None, calibrator=None))
    assert not [word for word in ("left out", "truncated", "probe", "calibrated") if word in text]


def test_answers_that_were_left_out_or_truncated_are_counted():
    text = str(report(left_out={"the input is empty": 3}, truncated=2))
    assert "left out: the input is empty 3\n" in text
    assert "prompts truncated to max_tokens: 2\n" in text


def test_of_many_labels_the_most_frequent_are_listed():
    assert "label 11 1 and 65 more" in str(report(counts={f"label {n}": 1 for n in range(77)}))


def test_texts_that_seem_chosen_to_judge_are_told():
    assert "somebody may have chosen" not in str(report(distinct_inputs=735))
    assert "49% of the distinct inputs are held out, where chance gives 20%" in str(
        report(distinct_inputs=300)
    )


def test_the_table_that_examples_of_the_base_came_from_is_named():
    assert "for the base: 2 examples a prompt from t" in str(report(examples="2 examples a prompt from t"))


def test_without_held_out_answers_there_is_nothing_to_judge_on():
    gate = judge([], [])
    assert math.isnan(gate.accuracy_new)
    assert "held-out accuracy: new model nothing to judge on" in str(report(gate=gate))


@pytest.mark.parametrize(
    ("people", "said"), [(0, "3 held out\n"), (1, "of one named person\n"), (3, "of 3 named people\n")]
)
def test_who_answered_is_counted_where_answers_name_somebody(people, said):
    assert said in str(report(people=people, held_out=3))
