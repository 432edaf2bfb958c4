"""What the user is told: warnings by default, notes too where the command line shows them."""

import logging
import subprocess
import sys

import pytest

from sparklabel.progress import CHUNKS, LOG, WorkProgress, log_to_stderr, tell


@pytest.fixture
def shown():
    """The command line's handler, taken away afterwards."""
    handlers, level = list(LOG.handlers), LOG.level
    log_to_stderr()
    yield
    LOG.handlers[:], LOG.propagate = handlers, True
    LOG.setLevel(level)


def test_a_warning_reaches_a_program_that_configures_no_logging():
    program = "from sparklabel.progress import LOG, tell; tell('mind the gap'); LOG.info('a note'); print('the end')"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("the end\n", "mind the gap\n")


def test_a_program_can_silence_what_is_told():
    program = (
        "import logging; from sparklabel.progress import tell; "
        "logging.getLogger('sparklabel').setLevel(logging.ERROR); tell('x')"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stderr == ""


@pytest.mark.usefixtures("shown")
def test_the_command_line_shows_notes_and_warnings_once_whatever_other_libraries_log(capsys, monkeypatch):
    log_to_stderr()
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.StreamHandler()])
    LOG.info("a note")
    tell("[bold] is text")
    assert capsys.readouterr().err == "info: a note\nwarning: [bold] is text\n"


@pytest.mark.usefixtures("shown")
def test_the_lines_of_chunks_are_for_programs(capsys):
    logging.getLogger(CHUNKS).info("{}")
    assert capsys.readouterr().err == ""


def test_work_is_counted_in_lines_where_there_is_no_terminal(capsys):
    with WorkProgress("labeling", 4) as bar:
        bar.advance(1, "1/s")
        bar.advance(3, "2/s")
    assert capsys.readouterr().err == "labeling: started\nlabeling: 4 of 4 (2/s)\n"
