"""What comes from rows, models, servers and tables reaches no terminal as more than text."""

import logging
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import get_args, get_origin, get_type_hints

import pytest

import sparklabel as sl
from sparklabel.benchmarking.cells import Cell
from sparklabel.cli.show import show
from sparklabel.confidence.calibrators import Temperature
from sparklabel.evaluation import measure
from sparklabel.progress import PrintableFormatter, WorkProgress, tell
from sparklabel.training.gate import judge

CLEAR = "\x1b[2Jgone\x9b\u202e"
ESCAPED = "\\x1b[2Jgone\\x9b\\u202e"
REPORTS = [getattr(sl, name) for name in sl.__all__ if name.endswith("Report")]
CELL = Cell(set_name=CLEAR, entry=CLEAR, answers=0, metric=CLEAR, error=CLEAR)
BY_NAME = {
    "stopped": "", "pairs": (), "cells": [CELL, replace(CELL, value=1.0, low=1.0, high=1.0)],
    "gate": judge([], []), "calibrator": Temperature(1.0), "again_at": None, "generalization": None,
    "metrics": measure(sl.classification("t", "x", ["a", "b"]).answer_mode, ["a"], ["a"], [0.5], ["ok"]),
}  # fmt: skip


def value_of(name, hint):
    """A field's value: a hostile one if it can be a text."""
    kinds = (hint, *get_args(hint))
    if name in BY_NAME:
        return BY_NAME[name]
    if get_origin(hint) is tuple:
        return (CLEAR,)
    if get_args(hint)[:1] == (str,):
        return {CLEAR: 1}
    return next(
        (made for kind, made in ((str, CLEAR), (Path, Path(CLEAR)), (int, 1), (float, 1.0)) if kind in kinds),
        True,
    )


@pytest.mark.parametrize("report", REPORTS)
def test_a_report_shows_control_characters_escaped(report):
    hints = get_type_hints(report)
    text = str(report(**{one.name: value_of(one.name, hints[one.name]) for one in fields(report)}))
    assert ESCAPED in text
    assert text.replace("\n", "").isprintable()


def test_an_error_shows_control_characters_escaped_and_keeps_its_lines():
    error = sl.SparklabelError(f"The key {CLEAR}\nis wrong.", hint=f"Drop {CLEAR}.")
    assert str(error) == f"The key {ESCAPED}\nis wrong.\n  Drop {ESCAPED}."
    assert error.args == (error.message,)


def test_what_is_told_is_escaped(caplog):
    tell(f"the server said {CLEAR}")
    assert caplog.messages == [f"the server said {ESCAPED}"]


def test_lines_of_progress_are_escaped(capsys):
    with WorkProgress(CLEAR, 1) as bar:
        bar.advance(1, CLEAR)
    assert capsys.readouterr().err == f"{ESCAPED}: started\n{ESCAPED}: 1 of 1 ({ESCAPED})\n"


def test_a_traceback_that_quotes_a_row_is_escaped_in_a_log():
    record = logging.LogRecord("x", logging.ERROR, "", 0, "a bug", (), (ValueError, ValueError(CLEAR), None))
    assert PrintableFormatter().format(record) == f"a bug\nValueError: {ESCAPED}"


def test_rows_that_a_command_lists_are_escaped(capsys):
    show(SimpleNamespace(show=lambda *_, **__: print(f"+--+\n|{CLEAR}|")), 1)
    assert capsys.readouterr().out == f"+--+\n|{ESCAPED}|\n"
