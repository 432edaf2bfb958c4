"""Which run a worker takes beside those that it has."""

from types import SimpleNamespace

import pytest

from sparklabel.training.runs.capacity import Admission, Capacity

TAKE, SKIP, WAIT = Admission


@pytest.mark.parametrize(
    ("slots", "parallel", "processes", "active", "admission"),
    [
        (2, None, 2, [], TAKE),
        (2, None, 2, [2], WAIT),  # it waits, and no other passes it
        (4, None, 2, [2], TAKE),
        (4, None, 3, [2], WAIT),
        (2, None, 4, [], SKIP),  # another worker may have the slots
        (2, None, 1, [], TAKE),
        (2, None, 1, [1], SKIP),  # one model at a time in the worker itself
        (2, None, 1, [2], TAKE),
        (2, None, 2, [1], TAKE),
        (8, 1, 2, [2], WAIT),
        (8, 2, 2, [2], TAKE),
    ],
)
def test_as_many_runs_as_slots_suffice_for(slots, parallel, processes, active, admission):
    submissions = [SimpleNamespace(processes=count) for count in active]
    found = Capacity(lambda _: slots, parallel).admits(SimpleNamespace(processes=processes), submissions)
    assert found is admission
