"""Ctrl-C while a chunk is computed; more corrections than people give."""

import signal

import pytest

from sparklabel.errors import TableError
from sparklabel.labeling.interrupts import FirstInterrupt
from sparklabel.labeling.limits import PassLimits


def test_the_first_interrupt_is_kept_and_the_second_is_one():
    said = []
    with FirstInterrupt(said.append) as interrupt:
        signal.raise_signal(signal.SIGINT)
        assert interrupt.heard
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert len(said) == 1
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_more_corrections_than_people_give_are_refused():
    refusal = str(PassLimits().refusal(1001, "t", "intent"))
    assert "1,001 rows of t differ from the model's recorded 'intent'" in refusal
    assert "max_new_corrections=1001" in refusal
    for limits in (PassLimits(max_new_corrections=1001), PassLimits(max_new_corrections=None)):
        assert limits.refusal(1001, "t", "intent") is None


@pytest.mark.parametrize("most", [-1, 1.5, True])
def test_a_number_of_corrections_that_is_none_is_refused(most):
    with pytest.raises(TableError, match="max_new_corrections"):
        PassLimits(max_new_corrections=most)
