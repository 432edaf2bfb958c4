"""How long and how fast is trained, and in which order."""

import pytest

from sparklabel.language_model.training.config import TrainingConfig
from sparklabel.language_model.training.trainer import batches, cosine_with_warmup


@pytest.mark.parametrize(("choices", "layers", "epochs"), [(2, 10, 3), (77, 20, 4), (None, 20, 4)])
def test_many_choices_and_written_answers_adapt_more_layers_for_longer(
    choices: int | None, layers: int, epochs: int
):
    config = TrainingConfig().chosen_for(30, choices, 3000)
    assert (config.top_layers, config.epochs) == (layers, epochs)


@pytest.mark.parametrize(("examples", "epochs"), [(3000, 4), (1000, 7), (100, 12)])
def test_few_answers_to_many_choices_are_seen_more_often(examples: int, epochs: int):
    assert TrainingConfig().chosen_for(30, 77, examples).epochs == epochs


def test_what_the_user_chose_stays():
    assert TrainingConfig(top_layers=40, epochs=1).chosen_for(30, 77, 10) == TrainingConfig(
        top_layers=30, epochs=1
    )


def test_every_epoch_sees_every_example_once():
    plan = list(batches([3, 9, 4, 4, 8, 1, 2], TrainingConfig(epochs=2, batch_size=2)))
    for epoch in (1, 2):
        assert sorted(i for e, batch in plan if e == epoch for i in batch) == list(range(7))


def test_the_learning_rate_rises_and_falls():
    rates = [cosine_with_warmup(step / 100, 0.1) for step in range(101)]
    assert max(rates) == rates[10] == 1.0
    assert rates[0] < 0.02
    assert rates[100] == 0.0
