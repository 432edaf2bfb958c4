"""What a plan says before anything is computed."""

import pytest

from sparklabel.labeling.limits import PassLimits
from sparklabel.labeling.options import StorageOptions
from sparklabel.table.row_states import Scope


def test_human_and_done_rows_are_not_pending(plan_of):
    plan = plan_of(
        {"new": 3, "retry": 2, "human": 4, "human_input_changed": 1, "done": 9, "model_changed": 5}
    )
    assert (plan.pending, plan.human) == (5, 5)


def test_another_models_answers_are_pending_only_if_that_is_asked_for(plan_of):
    assert plan_of({"model_changed": 5}, scope=Scope("model")).pending == 5


def test_max_rows_bounds_the_inputs(plan_of):
    assert plan_of(pending_inputs=10, limits=PassLimits(max_rows=3)).inputs == 3
    assert plan_of(pending_inputs=10, limits=PassLimits(max_rows=30)).inputs == 10


def test_prompt_tokens_are_estimated_at_four_characters_each(plan_of):
    assert plan_of(pending_inputs=10).prompt_tokens == (400 + 10 * 60) // 4


@pytest.mark.parametrize(
    ("inputs", "rate", "is_small"),
    [(10, 1.0, True), (11, 1.0, False), (32, None, True), (33, None, False), (9_000, 1000.0, True)],
)
def test_a_pass_of_seconds_is_small_and_so_is_one_of_few_inputs_and_unknown_rate(
    plan_of, inputs, rate, is_small
):
    assert plan_of({"new": inputs}, pending_inputs=inputs, rate=rate).is_small is is_small


def test_a_pass_of_many_rows_is_staged_however_fast_the_engine_is(plan_of):
    assert not plan_of({"new": 10_001}, pending_inputs=1, rate=1e6).is_small


def test_answers_that_cost_money_are_staged(plan_of):
    assert not plan_of(rate=1000.0, engine="openai").is_small


@pytest.mark.parametrize("storage", [StorageOptions(staging="/s"), StorageOptions(cache="/c")])
def test_a_folder_that_is_named_for_answers_is_used(plan_of, storage):
    assert not plan_of(rate=1000.0, storage=storage).is_small
