"""Which run has room beside those under way."""

from types import SimpleNamespace

import pytest

from sparklabel.training.runs.rooms import Rooms


@pytest.mark.parametrize(
    ("slots", "parallel", "processes", "under_way", "fits"),
    [
        (2, None, 2, [], True),
        (2, None, 2, [2], None),  # it waits, and no other passes it
        (4, None, 2, [2], True),
        (4, None, 3, [2], None),
        (2, None, 4, [], False),  # another worker may have the slots
        (2, None, 1, [], True),
        (2, None, 1, [1], False),  # one model at a time in the worker itself
        (2, None, 1, [2], True),
        (2, None, 2, [1], True),
        (8, 1, 2, [2], None),
        (8, 2, 2, [2], True),
    ],
)
def test_as_many_runs_as_slots_suffice_for(slots, parallel, processes, under_way, fits):
    submissions = [SimpleNamespace(processes=count) for count in under_way]
    assert Rooms(lambda _: slots, parallel).fits(SimpleNamespace(processes=processes), submissions) is fits
