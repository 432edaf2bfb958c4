"""SIGTERM: what is open is closed, and the program ends with its status."""

import signal
import threading

import pytest

from sparklabel.termination import EXIT_STATUS, FirstInterrupt, sigterm_exits, sigterm_waits


def terminate():
    signal.raise_signal(signal.SIGTERM)


def test_a_block_is_left_with_the_status_of_the_signal():
    closed = []

    def program():
        with sigterm_exits():
            try:
                terminate()
            finally:
                closed.append(True)

    with pytest.raises(SystemExit) as caught:
        program()
    assert (caught.value.code, EXIT_STATUS, closed) == (143, 143, [True])
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_block_that_waits_goes_on_and_the_outermost_one_ends_the_program():
    said = []

    def program():
        with sigterm_exits():
            with sigterm_exits(), sigterm_waits(lambda: said.append("heard")):
                terminate()
                said.append("went on")
            said.append("merged")

    with pytest.raises(SystemExit):
        program()
    assert said == ["heard", "went on", "merged"]


def test_the_second_signal_does_not_wait():
    said = []

    def program():
        with sigterm_exits(), sigterm_waits(lambda: said.append("heard")):
            terminate()
            terminate()
            said.append("never")

    with pytest.raises(SystemExit):
        program()
    assert said == ["heard"]


def test_a_program_keeps_its_own_handler():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append("the program's"))
    try:
        with sigterm_exits(), sigterm_waits(lambda: heard.append("ours")):
            terminate()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == ["the program's"]


def test_a_thread_changes_nothing():
    seen = []

    def work():
        with sigterm_exits(), sigterm_waits(lambda: None):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]


def test_the_first_interrupt_is_remembered_and_the_second_one_interrupts():
    said = []
    with FirstInterrupt(said.append, "the chunk", "writing") as interrupt:
        signal.raise_signal(signal.SIGINT)
        assert interrupt.heard
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert len(said) == 1
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_what_is_under_way_has_a_few_seconds_after_sigterm(monkeypatch):
    monkeypatch.setattr("sparklabel.termination._GRACE_SECONDS", 0.01)
    said = []

    def work():
        with FirstInterrupt(said.append, "the chunk", "writing"):
            signal.raise_signal(signal.SIGTERM)
            threading.Event().wait(60)

    with pytest.raises(SystemExit), sigterm_exits(), pytest.raises(KeyboardInterrupt):
        work()
    assert said == ["terminated: writing the chunk, which has 0 s"]


def test_work_that_is_done_in_time_is_not_interrupted():
    said = []

    def program():
        with sigterm_exits():
            with FirstInterrupt(said.append, "the chunk", "writing") as interrupt:
                signal.raise_signal(signal.SIGTERM)
            said.append(interrupt.heard)

    with pytest.raises(SystemExit):
        program()
    assert said[-1] is True
