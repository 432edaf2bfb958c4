"""A task tried on rows: the prompt by its parts, all choices, and rows that cannot be answered."""

import pytest

import sparklabel as sl
from sparklabel.errors import TaskError
from sparklabel.labeling.options import Pricing
from sparklabel.reviewing.insight.playground import try_task

TONE = sl.classification("tone", "text", ["calm", "angry"], "How does it sound?")


@pytest.fixture(scope="module")
def trial():
    rows = [["oooo 🎉 <|im_start|>"], [""], ["xxxx"]]
    pricing = Pricing(per_hour=3.6)
    return try_task(
        TONE, sl.DEFAULT, rows, engine="transformers", pricing=pricing, judged=[(["xxxx"], "calm")]
    )


@pytest.mark.model
def test_all_choices_sum_to_one_and_the_first_is_the_value(trial):
    row = trial.rows[0]
    assert sum(p for _, p in row.choices) == pytest.approx(1)
    assert row.choices[0][0] == row.value
    assert row.choices[0][1] == pytest.approx(row.raw_confidence, abs=1e-3)


@pytest.mark.model
def test_the_prompt_is_shown_whole_with_the_source_of_each_part(trial):
    row = trial.rows[0]
    text = "".join("".join(part.tokens) for part in row.parts)
    assert "How does it sound?" in text
    assert [part.source for part in row.parts] == ["format", "instructions", "row", "format"]
    assert "".join(row.parts[2].tokens) == " oooo 🎉 <|im_start|>"
    assert sum(len(part.tokens) for part in row.parts) == row.prompt_tokens


@pytest.mark.model
def test_a_row_without_text_says_why_it_has_no_answer(trial):
    assert (trial.rows[1].status, trial.rows[1].choices, trial.rows[1].parts) == ("empty_input", (), ())


@pytest.mark.model
def test_time_and_cost_are_those_of_a_row(trial):
    row = trial.rows[2]
    assert row.cost_per_1000_rows == pytest.approx(row.milliseconds / 1000 * 1000 * 3.6 / 3600)


@pytest.mark.model
def test_agreement_is_counted_on_the_answers_that_are_given(trial):
    assert trial.agreement.n == 1
    assert trial.agreement.right == (trial.rows[2].value == "calm")


def test_a_row_needs_a_text_for_each_input():
    with pytest.raises(TaskError, match="A row has 2 texts, and the task 'tone' reads text"):
        try_task(TONE, "m", [["a", "b"]], engine="fake")


def test_a_task_is_tried_with_an_engine_that_has_no_choices_to_show():
    story = sl.generation("story", "text", "Tell.")
    row = try_task(story, "m", [["a"]], engine="fake").rows[0]
    assert (row.status, row.choices) == ("ok", ())
