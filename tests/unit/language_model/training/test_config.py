"""The settings of a training run: what is chosen, what is refused, and how it travels."""

import math
import pickle
import subprocess
import sys

import pytest

from sparklabel.errors import SetupError
from sparklabel.language_model.training.config import TrainingConfig


@pytest.mark.parametrize(("choices", "layers", "epochs"), [(2, 10, 3), (77, 20, 4), (None, 20, 4)])
def test_many_choices_and_written_answers_adapt_more_layers_for_longer(
    choices: int | None, layers: int, epochs: int
):
    config = TrainingConfig().chosen_for(30, choices, 3000)
    assert (config.top_layers, config.epochs) == (layers, epochs)


@pytest.mark.parametrize(("examples", "epochs"), [(3000, 4), (1000, 7), (100, 12)])
def test_few_answers_to_many_choices_are_seen_more_often(examples: int, epochs: int):
    assert TrainingConfig().chosen_for(30, 77, examples).epochs == epochs


def test_what_the_user_chose_is_kept():
    assert TrainingConfig(top_layers=40, epochs=1).chosen_for(30, 77, 10) == TrainingConfig(
        top_layers=30, epochs=1, learning_rate=1e-3, batch_size=16
    )


def test_an_instruction_tuning_adapts_all_layers_once_and_trains_all_weights_slowly():
    assert TrainingConfig().chosen_for_mixture(30, 5000) == TrainingConfig(
        top_layers=30, epochs=1, learning_rate=1e-3, batch_size=16
    )
    assert TrainingConfig(parameters="all").chosen_for_mixture(30, 5000).peak == 5e-5


@pytest.mark.parametrize(("packs", "size"), [(5000, 16), (800, 8), (199, 1), (3, 1)])
def test_an_instruction_tuning_on_little_takes_smaller_steps(packs: int, size: int):
    assert TrainingConfig().chosen_for_mixture(30, packs).step_size == size


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [("epochs", 0, "greater than or equal to 1"), ("learning_rate", -1e-3, "greater than 0"),
     ("rank", 0, "greater than or equal to 1"), ("warmup_ratio", 1.5, "less than or equal to 1"),
     ("warmup_ratio", -0.1, "greater than or equal to 0"), ("lora_alpha", math.nan, "finite number"),
     ("weight_decay", math.inf, "finite number"), ("max_grad_norm", 0, "greater than 0"),
     ("target_modules", "q_proj", "valid tuple"), ("target_modules", (), "at least 1 item"),
     ("batch_size", 2.5, "valid integer"), ("rank", True, "be a number"), ("rank", "8", "be a number"),
     ("lora_alpha", True, "be a number"),
     ("max_tokens", 10**30, "less than"), ("seed", -1, "greater than or equal to 0")],
)  # fmt: skip
def test_a_wrong_value_is_refused_with_its_name_and_what_is_possible(field: str, value: object, wanted: str):
    with pytest.raises(SetupError) as found:
        TrainingConfig(**{field: value})
    assert f"{field}={value!r}" in found.value.message
    assert wanted in found.value.message


def test_every_wrong_value_is_named():
    with pytest.raises(SetupError, match=r"rank=0 .* epochs=0"):
        TrainingConfig(epochs=0, rank=0)


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(SetupError, match=r"no field 'epoch'; did you mean epochs\?"):
        TrainingConfig(epoch=3)  # type: ignore[call-arg]


def test_an_unknown_name_that_is_near_to_none_is_refused_with_all():
    with pytest.raises(SetupError, match="no field 'xyz'; it has parameters, top_layers, target_modules"):
        TrainingConfig(xyz=3)  # type: ignore[call-arg]


def test_a_config_takes_keywords_only():
    with pytest.raises(SetupError, match="keywords only"):
        TrainingConfig(3)  # type: ignore[misc]


def test_a_config_travels_to_another_process_as_it_is():
    config = TrainingConfig(epochs=2, target_modules=("q_proj",))
    assert pickle.loads(pickle.dumps(config)) == config


def test_a_config_needs_no_torch():
    program = "import sys, sparklabel as sl; sl.TrainingConfig(); print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
