"""Ctrl-C while a chunk is computed."""

import signal

import pytest

from sparklabel.table.brakes import FirstInterrupt


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
