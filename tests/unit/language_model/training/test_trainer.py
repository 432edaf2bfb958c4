"""The order of examples and the learning rate of each step."""

import pytest
import torch

from sparklabel.language_model.training.config import TrainingConfig
from sparklabel.language_model.training.optimizer import cosine_schedule
from sparklabel.language_model.training.plan import TrainingPlan


def test_every_epoch_sees_every_example_once():
    plan = TrainingPlan.of([3, 9, 4, 4, 8, 1, 2], TrainingConfig(epochs=2, batch_size=2)).steps
    for epoch in (1, 2):
        assert sorted(i for step in plan if step.epoch == epoch for i in step.batch) == list(range(7))


def rates(steps: int, warmup_ratio: float) -> list[float]:
    """The parts of the peak that each step is taken with."""
    optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = cosine_schedule(optimizer, steps, warmup_ratio)
    found = []
    for _ in range(steps):
        found += schedule.get_last_lr()
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize(
    ("step", "earlier", "within"),
    [(0, 0.0099, 0.01), (5, 0.50495, 0.005), (9, 0.90099, 0.001), (10, 1.0, 1e-6), (40, 0.75, 1e-6), (55, 0.5, 1e-6),
     (99, 0.0003046, 1e-6)],
)  # fmt: skip
def test_the_learning_rate_is_that_of_the_earlier_schedule(step: int, earlier: float, within: float):
    # The warm-up of the schedule that was our own began at 1% of the peak, this one's begins at 0.
    assert rates(100, 0.1)[step] == pytest.approx(earlier, abs=within)


@pytest.mark.parametrize(("steps", "found"), [(1, [1.0]), (2, [0.0, 1.0]), (4, [0.0, 1.0, 0.75, 0.25])])
def test_few_steps_still_reach_the_peak(steps: int, found: list[float]):
    assert rates(steps, 0.1) == pytest.approx(found)


def test_without_warm_up_the_first_step_is_taken_at_the_peak():
    assert rates(10, 0.0)[0] == 1.0
